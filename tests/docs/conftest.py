"""The site, built once for all tests that look at it, and a browser to look with."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED = ("sphinx", "myst_nb", "pydata_sphinx_theme", "sphinx_copybutton", "sphinx_design")


@dataclass
class Site:
    """A built site: its folder, what the build said, and the processor's seconds that it took."""

    folder: Path
    said: str
    seconds: float

    def pages(self) -> list[Path]:
        """All pages but those of source code and of indices, in the order of their names."""
        parts = [self.folder / name for name in ("docs", "notebooks", "data")]
        own = [path for part in parts for path in part.rglob("*.html")]
        return sorted([*own, *self.folder.glob("[A-Z]*.html")])


def build(folder: Path, repository_url: str = "") -> Site:
    """Builds the site with warnings as errors; nothing is read from an earlier build."""
    options = ["-W", "--keep-going", "-q", "-E", "-c", "docs", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(folder / "site")]
    environment = {**os.environ, "FLOWERLIB_REPOSITORY": repository_url}
    start = os.times()
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600
    )
    said = done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")
    end = os.times()  # of the processor: a test must not fail because others use the machine
    seconds = end.children_user + end.children_system - start.children_user - start.children_system
    return Site(folder / "site", said, seconds)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of this checkout, built from the stored notebooks."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {missing[0]} here: pip install -e '.[docs]'")
    if ready := os.environ.get("BUILT_SITE"):  # while working on the site
        return Site(Path(ready), "", 0.0)
    return build(tmp_path_factory.mktemp("site"))


# Nothing that a browser does on its own shall look like something that a page does.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


def find_chromium() -> str | None:
    """The browser of this machine: CHROMIUM, or one that Linux distributions install."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here")
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no chromium here: install it, or name it in CHROMIUM")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()
