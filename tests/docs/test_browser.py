"""The site as readers see it, in chromium: on a phone and a laptop, in light and in dark."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

WIDTHS = (390, 1200)
SCHEMES = ("light", "dark")


def find_axe() -> Path | None:
    """axe-core's script: AXE_CORE, or where npm installs packages for all."""
    places = [Path(os.environ["AXE_CORE"])] if "AXE_CORE" in os.environ else []
    if npm := shutil.which("npm"):
        done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True)
        places.append(Path(done.stdout.strip(), "axe-core", "axe.min.js"))
    return next((place for place in places if place.is_file()), None)


@pytest.fixture
def open_page(browser):
    """A function that opens a page; at the end, nothing may have been asked of other machines."""
    contexts, asked = [], []

    def open_page(address, width=1200, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    local = ("file:", "data:", "blob:", "http://127.0.0.1:")
    assert [url for url in asked if not url.startswith(local)] == []


@pytest.fixture(scope="module")
def served(site):
    """The site's address, served to this machine as `make serve` does."""
    handler = functools.partial(QuietHandler, directory=str(site.folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


# What is cut off to the right, though neither it nor anything around it can be scrolled to it.
CUT_OFF = """() => {
  const width = document.documentElement.clientWidth, found = [];
  for (const item of document.querySelectorAll(".bd-article *")) {
    const box = item.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= width + 1) continue;
    let around = item.parentElement, scrolls = false;
    while (around && !scrolls) {
      scrolls = ["auto", "scroll"].includes(getComputedStyle(around).overflowX);
      around = around.parentElement;
    }
    if (!scrolls) found.push(item.outerHTML.slice(0, 120));
  }
  return found;
}"""

# Outputs that a reader would have to scroll sideways to read.
WIDE_OUTPUTS = """() => [...document.querySelectorAll(".cell_output *, .bd-article table")]
  .filter(item => item.scrollWidth > item.clientWidth + 1 && item.clientWidth > 0
    && !item.closest(".highlight-python, .highlight-ipython3")  // code that a lesson shows
    && ["auto", "scroll"].includes(getComputedStyle(item).overflowX))
  .map(item => item.outerHTML.slice(0, 120))"""

PICTURES = """() => [...document.querySelectorAll(".bd-article img")].map(image => ({
  source: image.src.slice(-100), alt: image.alt, loaded: image.complete && image.naturalWidth > 0,
  shown: image.clientWidth }))"""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_every_figure_is_there(site, open_page, width, scheme):
    page = open_page(site.pages()[0].as_uri(), width, scheme)
    problems = []
    for path in site.pages():
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        name = path.relative_to(site.folder)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{name} scrolls sideways")
        problems += [f"{name} cuts off {item}" for item in page.evaluate(CUT_OFF)]
        problems += [f"{name} has a wide output {item}" for item in page.evaluate(WIDE_OUTPUTS)]
        page.evaluate(
            "Promise.all([...document.images].map(image => image.decode().catch(() => 0)))"
        )
        for picture in page.evaluate(PICTURES):
            if not (picture["loaded"] and picture["alt"].strip()):
                problems.append(f"{name}: {picture}")
    assert problems == []


@pytest.mark.parametrize("where", ["file", "server"])
@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("BatchNorm", "notebooks/"),
        ("train.transfer", "docs/reference/"),
        ("learning rate", "docs/glossary.html"),
    ],
)
def test_the_search_finds(site, served, open_page, where, words, place):
    start = site.folder.as_uri() if where == "file" else served
    page = open_page(f"{start}/search.html?q={words.replace(' ', '+')}")
    page.wait_for_selector("#search-results ul.search li a", timeout=20_000)
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.match(/found/)")
    links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any(place in link for link in links)


def each_kind(site) -> list[Path]:
    """One page of each kind, the longest of its kind where there are several."""
    kinds: dict[str, Path] = {}
    for path in site.pages():
        name = path.relative_to(site.folder).as_posix()
        kind = (
            path.parent.as_posix() if name.startswith(("notebooks/", "docs/reference/")) else name
        )
        if kind not in kinds or path.stat().st_size > kinds[kind].stat().st_size:
            kinds[kind] = path
    return [*kinds.values(), site.folder / "search.html"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_serious_for_people_with_disabilities(site, open_page, scheme):
    axe = find_axe()
    if axe is None:
        pytest.skip("no axe-core here: npm install -g axe-core, or name axe.min.js in AXE_CORE")
    script = axe.read_text(encoding="utf-8")
    page = open_page(site.pages()[0].as_uri(), 1200, scheme)
    found = {}
    for path in each_kind(site):
        page.goto(path.as_uri())
        page.evaluate(script)
        result = page.evaluate("axe.run({resultTypes: ['violations']})")
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found.setdefault(violation["id"], []).append((path.name, nodes))
    assert found == {}


def press_until(page, key: str, reached: str, most: int = 400) -> None:
    """Presses a key until the focus is where a JavaScript test of `item` says."""
    for _ in range(most):
        page.keyboard.press(key)
        item = "const item = document.activeElement; return Boolean(item) && " + reached
        if page.evaluate(f"() => {{ {item} }}"):
            return
    raise AssertionError(f"{key} does not lead to {reached}")


def test_a_beginner_gets_through_by_keyboard_alone(repository, site, open_page):
    first = min(path.stem for path in (repository / "notebooks").glob("[0-9]*.ipynb"))
    page = open_page((site.folder / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")

    press_until(page, "Tab", "item.matches('.bd-article a[href$=\"lessons.html\"]')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/lessons.html")
    press_until(page, "Tab", f"item.matches('.bd-article a[href$=\"{first}.html\"]')")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/notebooks/{first}.html")

    # To the exercises by the list of sections, to a hint, and into it.
    press_until(page, "Tab", "item.matches('.page-toc a[href=\"#exercises\"]')")
    page.keyboard.press("Enter")
    page.wait_for_url("**#exercises")
    if page.locator("#exercises details").count():
        press_until(page, "Tab", "item.matches('#exercises summary')")
        page.keyboard.press("Enter")
        assert page.locator("#exercises details[open]").count() == 1

    press_until(page, "Tab", "item.matches('.bd-article a[href*=\"solutions/\"]')")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/notebooks/solutions/{first}.html*")
    page.go_back()
    press_until(page, "Tab", "item.matches('a.right-next')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/notebooks/0*.html")
    assert first not in page.url
    assert page.locator("h1").inner_text().startswith(("2.", "3."))


def test_the_focus_can_be_seen(site, open_page):
    page = open_page((site.folder / "docs" / "index.html").as_uri())
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(() => { const s = getComputedStyle(document.activeElement);"
            "return s.outlineStyle + s.outlineWidth + s.boxShadow })()"
        )
        assert style not in ("none0pxnone", "none3pxnone")
