"""A file is whole or not there; caches are where they were asked for."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowerlib import data
from flowerlib.classifier import Classifier
from flowerlib.support import storage
from flowerlib.support.errors import InputError


def test_the_cache_is_where_the_user_says(own_cache: Path) -> None:
    assert storage.cache_folder("a", "b") == own_cache / "a" / "b"
    assert (own_cache / "a" / "b").is_dir()


def test_an_impossible_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOWERLIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="point FLOWERLIB_CACHE at a folder"):
        storage.cache_folder()


def test_an_atomic_file_appears_with_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with storage.atomic_path(target) as temporary:
        assert not target.exists() and temporary.parent == tmp_path
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]
    if os.name == "posix":
        (tmp_path / "plain").touch()
        usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
        assert stat.S_IMODE(target.stat().st_mode) == usual


def test_after_an_error_the_old_content_stands(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), storage.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    program = (
        "import os, signal, sys; from flowerlib.support import storage\n"
        "with storage.atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, target]).returncode == -signal.SIGKILL
    assert target.read_text() == "old"


@pytest.mark.parametrize("below", ["missing/a.txt", "file/a.txt"])
def test_what_cannot_be_written_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write .*a\.txt"):
        with storage.atomic_path(tmp_path / below):
            pytest.fail("there is nothing to write to")


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError, match="Cannot write"):
        with storage.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_new_file_takes_the_name_and_the_old_one_is_not_written_to(tmp_path: Path) -> None:
    target, other_name = tmp_path / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    os.link(target, other_name)
    with storage.atomic_path(target) as temporary:
        temporary.write_text("new")
    assert (target.read_text(), other_name.read_text()) == ("new", "old")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="arrays lie in files on Linux only")
def test_a_large_array_lies_in_a_file_without_a_name(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LARGE", 1000)
    small, large = storage.empty(3, 4, torch.float32), storage.empty(100, 7, torch.bfloat16)
    assert (small.shape, small.dtype) == ((3, 4), torch.float32)
    assert (large.shape, large.dtype) == ((100, 7), torch.bfloat16)
    large[:] = torch.arange(700).view(100, 7) % 250
    assert torch.equal(large[99].int(), torch.arange(693, 700).int() % 250)
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "cache" in line]
    assert any(str(own_cache) in line and line.endswith("(deleted)") for line in mapped)
    assert not any(own_cache.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="arrays lie in files on Linux only")
def test_on_a_full_disk_an_array_lies_in_memory(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "LARGE", 1000)
    monkeypatch.setattr(os, "posix_fallocate", full)
    array = storage.empty(100, 7, torch.float32)
    array[:] = 1
    assert float(array.sum()) == 700
    assert not any(own_cache.iterdir())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and no variable that names a cache."""
    for name in ("FLOWERLIB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("name", ["FLOWERLIB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"])
def test_an_empty_variable_counts_as_unset(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    usual = storage.cache_folder()
    monkeypatch.setenv(name, "")
    assert storage.cache_folder() == usual
    assert home in usual.parents


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG is for other systems")
def test_a_relative_xdg_cache_is_ignored_as_the_standard_says(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert storage.cache_folder() == home / ".cache" / "flowerlib"


def test_a_tilde_in_a_variable_is_the_home_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWERLIB_CACHE", "~/cache")
    assert storage.cache_folder("a") == home / "cache" / "a"
    monkeypatch.setenv("FLOWERLIB_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(InputError, match="no such home folder"):
        storage.cache_folder()
    assert not [path for path in Path().iterdir() if path.name.startswith("~")]


def test_a_file_with_a_tilde_in_its_name_is_taken_as_it_is(home: Path) -> None:
    Path("~photo.jpg").touch()
    assert storage.expand("~photo.jpg") == Path("~photo.jpg")
    assert storage.expand("a/~b") == Path("a/~b")
    assert storage.expand("~/a") == home / "a"
    with storage.atomic_path("~/b.txt") as temporary:
        temporary.write_text("whole")
    assert (home / "b.txt").read_text() == "whole"


@pytest.mark.parametrize("use", [storage.expand, data.image_folder, Classifier.load])
def test_an_empty_path_is_not_the_working_directory(use) -> None:
    """It is what a shell makes of a variable that nobody set."""
    with pytest.raises(InputError, match="An empty path was given"):
        use("")


def test_a_relative_cache_stays_where_it_was_after_a_change_of_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Path.cwd()
    monkeypatch.setenv("FLOWERLIB_CACHE", f"cache-of-{start.name}")
    first = storage.cache_folder()
    os.chdir(home)
    assert storage.cache_folder() == first == start / f"cache-of-{start.name}"


def test_a_user_without_a_home_gets_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    def homeless(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    with pytest.raises(InputError, match="no home folder for the cache; point FLOWERLIB_CACHE"):
        storage.cache_folder()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_share_that_cannot_flush_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with storage.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_disk_that_fails_to_flush_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"Cannot write .*a\.txt: No space left"):
        with storage.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_writing_never_changes_the_process_permissions_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the mask is the whole process's"))
    with storage.atomic_path(tmp_path / ("long" * 60 + ".txt")) as temporary:
        temporary.write_text("whole")
    assert stat.S_IMODE(next(tmp_path.iterdir()).stat().st_mode) & 0o600 == 0o600
