// Tables that do not fit become one block a row, each cell below its column's title (site.css).
function fitTables() {
  for (const table of document.querySelectorAll(".bd-article table")) {
    table.classList.remove("stacked");
    const titles = [...table.querySelectorAll("thead tr:last-child th")].map((th) => th.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.children].forEach((cell, at) => (cell.dataset.title = at ? titles[at] || "" : ""));
    }
    const box = table.parentElement;
    if (table.offsetWidth > box.clientWidth || box.scrollWidth > box.clientWidth) {
      table.classList.add("stacked");
    }
  }
}
window.addEventListener("load", fitTables);
window.addEventListener("resize", fitTables);

// A figure that the page shows smaller than it is leads to itself in full, such as on a phone.
window.addEventListener("load", () => {
  for (const image of document.querySelectorAll(".bd-article .cell_output img, .bd-article > section img")) {
    if (image.closest("a, .sd-card") || image.naturalWidth < 1.2 * image.clientWidth) continue;
    const link = document.createElement("a");
    link.href = image.src;
    link.title = "open the figure in full";
    image.replaceWith(link);
    link.append(image);
  }
});

// The theme names its search button "Search" and shows "Search Ctrl+K"; the name is what is shown.
window.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));
});
