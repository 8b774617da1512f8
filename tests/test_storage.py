"""A file is whole or not there; caches are where they were asked for."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowerlib import storage
from flowerlib.errors import InputError


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


def test_a_killed_process_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    program = (
        "import os, sys; from flowerlib import storage\n"
        "with storage.atomic_path(sys.argv[1]) as path:\n"
        "    path.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, target]).returncode == 9
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
def test_without_room_on_the_disk_an_array_lies_in_memory(
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
