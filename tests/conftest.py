"""What holds for every test: no settings of the user's, caches in build/, drawn data.

Tests marked `shared` want the real photos; they are skipped, with the reason, where there are none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.notebooks import FIXED_ENVIRONMENT, no_photos, why_figures_may_differ

REPOSITORY = Path(__file__).resolve().parent.parent

# Set at import, not in a fixture: nbval's kernels inherit the environment of this process.
for _name in [name for name in os.environ if name.startswith("FLOWERLIB_")]:
    if _name != "FLOWERLIB_SHARED":
        del os.environ[_name]
os.environ["FLOWERLIB_CACHE"] = str(REPOSITORY / "build" / "cache")
os.environ["FLOWERLIB_DATA"] = str(no_photos())
os.environ["IPYTHONDIR"] = str(REPOSITORY / "build" / "ipython")
(REPOSITORY / "build").mkdir(exist_ok=True)
os.environ.update(FIXED_ENVIRONMENT)

# Dozens of processes follow. In containers Python is often set to keep no bytecode; each of them
# would then recompile flowerlib and the tests, half a second to two.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False


def shared_folder() -> Path:
    """Where real photos and weights are on this machine; the folder may not exist."""
    if named := os.environ.get("FLOWERLIB_SHARED"):
        return Path(named).expanduser()
    return REPOSITORY.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Chooses how strictly nbval compares numbers; without --nbval does nothing."""
    if config.getoption("nbval", False) and why_figures_may_differ():
        elsewhere = REPOSITORY / "tests" / "nbval_sanitize_elsewhere.cfg"
        config.option.nbval_sanitize_with = str(elsewhere)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says how the notebooks' outputs are compared."""
    if not config.getoption("nbval", False):
        return None
    if reason := why_figures_may_differ():
        return f"notebooks: words are compared, numbers guarded by claims only ({reason})"
    return "notebooks: words and numbers are compared"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, saying why."""
    folder = shared_folder()
    have_gpu: bool | None = None
    for item in items:
        if item.get_closest_marker("shared") and not folder.is_dir():
            item.add_marker(pytest.mark.skip(reason="no real photos here: set FLOWERLIB_SHARED"))
        if item.get_closest_marker("gpu"):
            if have_gpu is None:
                import torch

                have_gpu = torch.cuda.is_available()
            if not have_gpu:
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session", autouse=True)
def conversions_start_warm() -> Iterator[None]:
    """Networks are converted as always, but by a process that need not import torch first."""
    runtime = sys.modules.get("flowerlib.features.runtime")
    if runtime is None:  # no test converts
        yield
        return
    from tests import warm

    def run(*files: Path) -> str:
        ended = warm.python(["-m", "flowerlib.features.conversion", *map(str, files)])
        if ended.code:
            raise RuntimeError(ended.err.strip().splitlines()[-1])
        return ended.out.strip().splitlines()[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "run_conversion", run)
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photos and weights; skips the test where there is none."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip("no real photos here: set FLOWERLIB_SHARED")
    return folder


@pytest.fixture(scope="session")
def flower_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Garden flowers as JPEG: {train,valid,test}/{daisy,iris,lily,rose}; not to be changed."""
    from tests import flower_photos

    return flower_photos.draw(tmp_path_factory.mktemp("flowers") / "photos")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path / "cache"
    # But for converted networks, which take seconds to make and are the same in all tests.
    if runtime := sys.modules.get("flowerlib.features.runtime"):
        converted = REPOSITORY / "build" / "cache" / "networks"
        converted.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(runtime, "kept_in", lambda: converted)
    monkeypatch.setenv("FLOWERLIB_CACHE", str(folder))
    return folder
