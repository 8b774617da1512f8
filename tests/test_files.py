"""Many paths in little memory: the same paths come out, and no file is digested twice."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flowerlib import files, images
from flowerlib.files import Files
from flowerlib.photos import Photos

PATHS = ["a.jpg", "b/a.jpg", "/b/c/ö 1.jpg", "b/\udcff.png", "..", "/", "b/d.jpg"]


def test_what_comes_out_is_what_was_put_in() -> None:
    found = Files([Path(path) for path in PATHS])
    assert list(found) == list(map(Path, PATHS)) and len(found) == 7
    assert [found.text(index) for index in range(7)] == PATHS == [*map(str, found)]
    assert found[-1] == Path("b/d.jpg") and Path("b/a.jpg") in found
    assert list(Files([])) == [] == list(found.take([]))


def test_parts_and_joins_keep_their_order() -> None:
    found = Files(PATHS)
    some = found.take([5, 0, 5])
    assert list(map(str, some)) == ["/", "a.jpg", "/"]
    assert list(map(str, found[-3:])) == PATHS[-3:] and len(found[:0]) == 0
    for end in (found.take(np.array([1])), Files(["b/a.jpg"])):
        assert list(map(str, files.join([some, end]))) == ["/", "a.jpg", "/", "b/a.jpg"]


def test_no_file_is_digested_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def digest(path: str) -> bytes:
        asked.append(path)
        return len(asked).to_bytes(1, "big") + bytes(15)  # zeros at the end count

    monkeypatch.setattr(images, "digest", digest)
    found = Files(["a", "b", "c"])
    part = found.take([2, 1])
    assert part.digest(0) == found.digest(2) == b"\1" + bytes(15)
    both = files.join([part, Files(["d"])])
    assert [both.digest(index)[0] for index in (2, 1, 0)] == [2, 3, 1]
    assert files.join([part, found]).digest(3) == part.digest(1) != found.digest(0)
    assert asked == [
        "c",
        "d",
        "b",
        "b",
        "a",
    ]  # what another sequence learns after a join is its own


def test_a_photo_takes_few_bytes(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "digest", lambda path: path[-10:].encode() * 2)
    count = 50_000
    tracemalloc.start()
    try:
        names = (f"photos/{number // 1000:03}/{number:06}.jpg" for number in range(count))
        photos = Photos(Files(names), np.zeros(count, int), ["photo"])
        digests = photos.subset(np.arange(count)[::-1]).digests()
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(np.unique(digests)) == count
    assert held < 100 * count and most < 150 * count
