"""Files that did not change are not read again by the next process; all others are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from flowerlib.data import Photos, RandomViews, digests
from flowerlib.data.decoding import images
from flowerlib.transforms import Augmentation, Preprocessing


@pytest.fixture
def folder(
    flower_folder: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Photos of two classes that count as old enough and as many enough."""
    monkeypatch.setattr(digests, "MANY", 2)
    monkeypatch.setattr(digests, "MOMENT", 0)
    root = tmp_path / "photos"
    for name in ("iris", "rose"):
        shutil.copytree(flower_folder / "train" / name, root / name)
    return root


def photos_in(folder: Path) -> Photos:
    """The photos of a folder, as a new process would see them: nothing is known of them."""
    paths = sorted(folder.rglob("*.jpg"))
    return Photos(paths, [0] * len(paths), ["flower"])


def read_of(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read for the digests; these must be right."""
    read = []
    with monkeypatch.context() as patch:
        digest = images.digest
        patch.setattr(images, "digest", lambda *path: read.append(path[0]) or digest(*path))
        found = photos.digests()
    assert found.tolist() == [images.digest(path).rstrip(b"\0") for path in photos.paths]
    return [Path(path).name for path in read]


def test_unchanged_files_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read_of(photos_in(folder), monkeypatch)) == 16
    assert read_of(photos_in(folder), monkeypatch) == []
    monkeypatch.chdir(folder.parent)
    assert read_of(photos_in(Path("photos")), monkeypatch) == []  # the same files under other names


def test_parts_and_views_know_what_the_whole_knows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = photos_in(folder)
    twice = [3, 1, 5, 3]
    assert len(read_of(whole.subset(twice), monkeypatch)) == 3
    assert len(read_of(photos_in(folder), monkeypatch)) == 13
    assert read_of(photos_in(folder).subset(twice), monkeypatch) == []
    monkeypatch.setattr(images, "digest", None)
    views = RandomViews(photos_in(folder), Augmentation(Preprocessing()), 2)
    assert len(set(views.digests().tolist())) == 32


def test_what_was_added_changed_or_moved_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos_in(folder).digests()
    first, second, third = sorted((folder / "iris").iterdir())[:3]
    shutil.copy(first, folder / "iris" / "new.jpg")
    shutil.copy(first, second)  # another content under the old name
    third.rename(folder / "rose" / third.name)
    expected = sorted(["new.jpg", second.name, third.name])
    assert sorted(read_of(photos_in(folder), monkeypatch)) == expected
    assert read_of(photos_in(folder), monkeypatch) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of the entry")
def test_a_change_under_the_old_size_and_time_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos_in(folder).digests()
    file = folder / "iris" / "iris_00.jpg"
    state = file.stat()
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file.stat().st_mtime_ns == state.st_mtime_ns and file.stat().st_size == state.st_size
    assert read_of(photos_in(folder), monkeypatch) == [file.name]


def test_what_changed_a_moment_ago_is_not_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MOMENT", 3600 * 10**9)
    for _ in range(2):
        assert len(read_of(photos_in(folder), monkeypatch)) == 16


def test_few_files_leave_no_trace(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MANY", 17)
    for _ in range(2):
        assert len(read_of(photos_in(folder), monkeypatch)) == 16
    assert not own_cache.exists()


def test_a_damaged_index_goes_and_the_files_are_read(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos_in(folder).digests()
    (index,) = own_cache.rglob("*.bin")
    content = bytearray(index.read_bytes())
    assert len(content) == 16 + 16 * 32
    content[100] ^= 1
    index.write_bytes(content)
    assert len(read_of(photos_in(folder), monkeypatch)) == 16
    assert [file.read_bytes() != content for file in own_cache.rglob("*.bin")] == [True]


def test_a_cache_that_cannot_be_used_costs_time_only(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.write_text("a file where the folder should be")
    for _ in range(2):
        assert len(read_of(photos_in(folder), monkeypatch)) == 16
    assert own_cache.is_file()


def test_what_one_process_has_seen_another_need_not_read(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MANY", 17)  # nothing is remembered on disk
    one, other = photos_in(folder), photos_in(folder)
    half = one.subset(range(0, 16, 2))
    half.digests()
    assert one.contents.seen()[1] == b""
    other.subset(range(0, 16, 2)).contents.remember(half.contents.seen())
    changed = sorted((folder / "iris").iterdir())[0]
    changed.write_bytes(changed.read_bytes() + b"more")
    assert len(read_of(other, monkeypatch)) == 9  # the other half, and what has changed
