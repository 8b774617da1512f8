"""Paths of many photos: they come out as they were put in, and no file is digested twice."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flowerlib.data import Photos, contents, digests
from flowerlib.data.contents import Files
from flowerlib.data.decoding import images

PATHS = ["a.jpg", "b/a.jpg", "/b/c/ö 1.jpg", "b/\udcff.png", "..", "/", "b/d.jpg"]


def test_what_comes_out_is_what_was_put_in() -> None:
    found = Files([Path(path) for path in PATHS])
    assert found.names == PATHS and len(found) == 7 and found.name(1) == "b/a.jpg"
    assert all(map(os.path.isabs, found.paths)) and found.paths[2] == PATHS[2]
    assert Photos(PATHS, [0] * 7, ["a"]).paths == PATHS
    assert Files([]).names == [] == found.take([]).names


def test_parts_and_joins_keep_their_order() -> None:
    found = Files(PATHS)
    some = found.take([5, 0, 5])
    assert some.names == ["/", "a.jpg", "/"]
    for end in (found.take(np.array([1])), Files(["b/a.jpg"])):
        assert contents.joined([some, end]).names == ["/", "a.jpg", "/", "b/a.jpg"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read for their digests; files count as old enough at once."""
    found: list[str] = []
    digest = images.digest
    monkeypatch.setattr(digests, "MOMENT", 0)
    monkeypatch.setattr(images, "digest", lambda p, name: found.append(name) or digest(p, name))
    return found


def written(folder: Path, names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text(f"content of {name}")
    return [folder / name for name in names]


def test_no_file_is_digested_twice(tmp_path: Path, reads: list[str]) -> None:
    a, b, c, d = written(tmp_path, "abcd")
    found = Files([a, b, c])
    part = found.take([2, 1])
    assert part.digest(0) == found.digest(2) == images.digest_of(b"content of c")
    both = contents.joined([part, Files([d])])
    assert len({both.digest(index) for index in (2, 1, 0)}) == 3
    assert contents.joined([part, found]).digest(3) == part.digest(1) != found.digest(0)
    # What another sequence learns after a join is its own.
    assert [Path(name).name for name in reads] == ["c", "d", "b", "b", "a"]


def test_zeros_at_the_end_of_a_digest_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(digests, "MOMENT", 0)
    monkeypatch.setattr(images, "digest", lambda path, name: b"\1" + bytes(15))
    found = Files(written(tmp_path, "a"))
    assert found.digest(0) == found.digest(0) == b"\1" + bytes(15)


@pytest.mark.parametrize("moment", [0, 3600 * 10**9])
def test_a_file_that_changed_has_another_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(digests, "MOMENT", moment)
    (file,) = written(tmp_path, "a")
    found = Files([file])
    before = found.digest(0)
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    state = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # the size, too, is the same
    assert before != found.digest(0) == images.digest_of(bytes(content))


def test_relative_paths_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "ab")
    monkeypatch.chdir(tmp_path)
    found = Files(["a", Path("b"), tmp_path / "b"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    every = contents.joined([found, Files([tmp_path / "a"]), found.take([1])])
    assert [every.digest(at) for at in range(5)] == [
        images.digest_of(f"content of {name}".encode()) for name in "abbab"
    ]
    assert [every.name(at) for at in (0, 1, 4)] == ["a", "b", "b"]
    with pytest.raises(images.PhotoError, match="^c: there is no such file"):
        Files(["c"]).digest(0)


def test_a_photo_takes_few_bytes(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "digest", lambda path, name: path[-10:].encode() * 2)
    count = 50_000
    tracemalloc.start()
    try:
        names = [f"photos/{number // 1000:03}/{number:06}.jpg" for number in range(count)]
        photos = Photos(names, np.zeros(count, int), ["photo"])
        found = photos.subset(np.arange(count)[::-1]).digests()
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(np.unique(found)) == count
    assert held < 300 * count and most < 350 * count
