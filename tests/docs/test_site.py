"""The site: it builds without a warning, all its links lead somewhere, and it needs no network."""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
import zlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import flowerlib

pytestmark = pytest.mark.docs

LOADS = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}


@dataclass
class Page(HTMLParser):
    """What a page links to, loads and offers to link to."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    pictures: list[dict] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        loaded = found.get(LOADS.get(tag, ""))
        if loaded and not (tag == "link" and found.get("rel") in ("next", "prev", "canonical")):
            self.loads.append(loaded)
        if tag == "img":
            self.pictures.append(found)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def pages(site):
    return {path: read(path) for path in site.folder.rglob("*.html")}


def test_it_builds_without_a_warning_within_a_minute(site):
    assert site.said == ""
    assert site.seconds < 60


def test_every_link_and_anchor_leads_somewhere(site, pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not target.is_file():
                dead.append(f"{path.name}: {link}")
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].anchors:
                    dead.append(f"{path.name}: {link}")
    assert dead == []


def test_links_to_other_sites_are_secure(pages):
    links = {link for page in pages.values() for link in page.links if urlsplit(link).netloc}
    assert [link for link in links if urlsplit(link).scheme != "https"] == []


def test_pages_load_nothing_from_elsewhere(site, pages):
    loads = {load for page in pages.values() for load in page.loads}
    assert [load for load in loads if urlsplit(load).scheme or urlsplit(load).netloc] == []
    for style in site.folder.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", style.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"""(?:@import|url\()\s*['"]?(?:https?:)?//""", text), style.name


def test_every_picture_is_there_and_says_what_it_shows(pages):
    for path, page in pages.items():
        for picture in page.pictures:
            assert (path.parent / unquote(picture["src"])).is_file()
            assert picture.get("alt", "").strip(), f"{path.name}: {picture['src']}"
            assert not picture["alt"].startswith(("../", "_images")), picture["alt"]


def test_every_lesson_and_its_solutions_are_pages_in_the_order_of_the_course(repository, site):
    for folder in ("notebooks", "notebooks/solutions"):
        names = sorted(path.stem for path in (repository / folder).glob("[0-9]*.ipynb"))
        assert names
        texts = [(site.folder / folder / f"{name}.html").read_text("utf-8") for name in names]
        for text, after in zip(texts, names[1:], strict=False):
            assert re.search(rf'class="right-next"\s+href="{after}\.html"', text)
    assert 'href="../notebooks/' in (site.folder / "docs" / "lessons.html").read_text("utf-8")


def test_a_lesson_can_be_downloaded_as_notebook_and_as_script(repository, site, pages):
    for name in ("notebooks", "notebooks/solutions"):
        for path in (repository / name).glob("[0-9]*.ipynb"):
            place = site.folder / name / f"{path.stem}.html"
            for end in (".ipynb", ".py"):
                (link,) = {
                    link
                    for link in pages[place].links
                    if "_downloads/lessons/" in link and link.endswith(end)
                }
                offered = (place.parent / link).resolve()
                assert offered.read_bytes() == path.with_suffix(end).read_bytes()


def inventory(folder: Path) -> dict[str, str]:
    """Documented name → its place, from the inventory that Sphinx writes."""
    content = (folder / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode().splitlines()
    found = (re.match(r"(\S+) py:\w+ \S+ (\S+)", line) for line in lines)
    return {match[1]: match[2].replace("$", match[1]) for match in found if match}


def parts() -> list[str]:
    """Names of the parts of flowerlib that the reference lists."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "index.md").read_text("utf-8")
    return re.findall(r"^   (flowerlib\.[\w.]+)$", text, re.MULTILINE)


def test_the_reference_lists_every_part():
    package = Path(flowerlib.__file__).parent
    there = {path.stem for path in package.glob("*.py")}
    there |= {path.parent.name for path in package.glob("*/__init__.py")}
    listed = {name.split(".")[1] for name in parts()}
    assert listed == {name for name in there if not name.startswith("__")}


@pytest.mark.parametrize("part", parts())
def test_everything_public_is_documented_typed_and_has_its_source(part, site):
    module = importlib.import_module(part)
    known = inventory(site.folder)
    page = (site.folder / posixpath.dirname(known[part]) / f"{part}.html").read_text("utf-8")
    assert module.__doc__
    assert module.__all__
    for name in module.__all__:
        item = getattr(module, name)
        assert f"{part}.{name}" in known, f"{part}.{name} is not in the reference"
        if inspect.ismodule(item) or not callable(item):
            continue
        assert inspect.getdoc(item), f"{part}.{name} has no docstring"
        if inspect.isfunction(item):
            untyped = [
                parameter.name
                for parameter in inspect.signature(item).parameters.values()
                if parameter.annotation is inspect.Parameter.empty
            ]
            assert untyped == [], f"{part}.{name} has parameters without a type"
        block = page.split(f'id="{part}.{name}"')[1].split("</dt>")[0]
        assert "viewcode-link" in block, f"{part}.{name} has no link to its source"


def test_a_function_says_which_lessons_use_it(site):
    page = (site.folder / inventory(site.folder)["flowerlib.data.flowers"].split("#")[0]).read_text(
        encoding="utf-8"
    )
    block = page.split('id="flowerlib.data.flowers"')[1].split('<dt class="sig')[0]
    assert re.search(r'Used in lessons.*href="[./]*notebooks/\d\w+\.html"', block, re.DOTALL)


def test_names_in_the_prose_lead_to_the_reference(site, pages):
    links = {
        link
        for path, page in pages.items()
        if path.parent.name == "notebooks"
        for link in page.links
    }
    assert any(
        "docs/reference/generated/flowerlib.train.html#flowerlib.train.fit" in link
        for link in links
    )


def test_the_command_line_is_documented(repository, site):
    page = (site.folder / "docs" / "command_line.html").read_text(encoding="utf-8")
    for name in ("train", "predict", "evaluate", "check", "doctor"):
        assert f'id="flowerlib-{name}"' in page
