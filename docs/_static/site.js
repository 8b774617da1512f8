// Tables that do not fit become one block a row, each cell below its column's title (site.css).
function fitTables() {
  for (const table of document.querySelectorAll(".bd-article table")) {
    table.classList.remove("stacked");
    const titles = [...table.querySelectorAll("thead tr:last-child th")].map((th) => th.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.children].forEach((cell, at) => (cell.dataset.title = at ? titles[at] || "" : ""));
    }
    const box = table.closest(".pst-scrollable-table-container, .cell_output, section, div");
    if (table.scrollWidth > box.clientWidth + 1) table.classList.add("stacked");
  }
}
window.addEventListener("load", fitTables);
window.addEventListener("resize", fitTables);
