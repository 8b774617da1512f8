"""Archives come out whole and inside their folder, or not at all."""

from __future__ import annotations

import errno
import os
import tarfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from flowerlib import archives, building, portable
from flowerlib.errors import InputError
from tests.fuzz.attacks import archives as torture

FILES = {"rose/1.jpg": b"one", "rose/2.jpg": b"", "lily/ä/3.jpg": b"three" * 9999}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An honest .tgz."""
    torture.write(tmp_path / "files", FILES)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.add(tmp_path / "files", ".")
    return tmp_path / "a.tgz"


def lack(folder: Path) -> str | None:
    found = len(torture.read(folder))
    return None if found == 3 else f"holds {found} of 3 files"


@pytest.mark.parametrize("name", ["a.tgz", "a.tar", "a.zip", "wrong-name.zip"])
def test_honest_archives(tmp_path: Path, name: str) -> None:
    torture.write(tmp_path / "files", FILES)
    (tmp_path / "files" / "rose" / "1.jpg").chmod(0o4755)
    place = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(place, "w") as opened:
            for file in FILES:
                opened.write(tmp_path / "files" / file, file)
    else:
        with tarfile.open(place, "w" if name == "a.tar" else "w:gz") as tar:
            tar.add(tmp_path / "files", "files")
    folder = archives.extract(place, tmp_path / "new" / "out")
    found = torture.read(folder / "files" if "files" in os.listdir(folder) else folder)
    assert found == FILES
    mask = os.umask(0)
    os.umask(mask)
    modes = {path.stat().st_mode & 0o7777 for path in folder.rglob("*.jpg")}
    assert modes == {0o666 & ~mask} or os.name == "nt"
    assert os.listdir(folder.parent) == ["out"]


def test_a_folder_that_exists_is_not_touched(archive: Path, tmp_path: Path) -> None:
    torture.write(tmp_path / "out", {"mine": b"mine"})
    with pytest.raises(InputError, match="out exists already; choose another, or remove it"):
        archives.extract(archive, tmp_path / "out")
    assert torture.read(tmp_path / "out") == {"mine": b"mine"}


def test_incomplete_folders_are_moved_aside(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("out.incomplete", "out.incomplete1"):
        torture.write(out, {name: b"mine"})
        archives.extract(archive, out, lack=lack)
        assert torture.read(out) == FILES
        assert torture.read(tmp_path / name) == {name: b"mine"}
        (out / "rose" / "1.jpg").rename(tmp_path / "moved")
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    before = (tmp_path / "a.tgz").read_bytes()
    torture.write(out, FILES)
    (tmp_path / "a.tgz").write_bytes(b"not needed")
    assert archives.extract(archive, out, lack=lack) == out
    (out / "rose" / "1.jpg").unlink()
    (tmp_path / "a.tgz").write_bytes(before[:-100])
    with pytest.raises(InputError, match=r"a\.tgz is damaged or cut off"):
        archives.extract(archive, out, lack=lack)
    assert len(torture.read(out)) == 2, "a failed repair leaves everything as it was"


def test_too_few_files_are_not_called_whole(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="out was not made: what was unpacked holds no roses"):
        archives.extract(archive, tmp_path / "out", lack=lambda _: "holds no roses")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("limits", [{"max_bytes": 49_000}, {"max_files": 2}])
def test_limits(archive: Path, tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(
        InputError, match=r"a\.tgz is refused: it .* more than (49,000 bytes|2 fil)"
    ):
        archives.extract(archive, tmp_path / "out", **limits)
    assert not (tmp_path / "out").exists()


def test_a_missing_archive(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tgz", tmp_path):
        with pytest.raises(InputError, match="is refused: there is no such file"):
            archives.extract(path, tmp_path / "out")


def test_a_full_disk(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(entry: archives.Entry, target: Path) -> None:
        target.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(InputError, match=r"Cannot write .*out: No space left on device\."):
        archives.extract(archive, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.tgz", "files"]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        torture.write(part, FILES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        building.build(tmp_path / "out", fill)
    assert os.listdir(tmp_path) == []


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    calls: Counter[str] = Counter()

    def fill(part: Path) -> None:
        calls["filled"] += 1
        time.sleep(0.05)
        torture.write(part, FILES)

    def work() -> None:
        if building.build(tmp_path / "out", fill, lack=lack) == tmp_path / "out":
            calls["same"] += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == {"filled": 1, "same": 5}
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["a/b.jpg", "./a/b.jpg", "a//b.jpg", "a/./b.jpg", "a/b.jpg/"])
def test_spellings_of_one_place(name: str) -> None:
    assert portable.parts_of(name) == ("a", "b.jpg")


def test_names_that_only_look_alike_are_different_places() -> None:
    places = portable.Places()
    for name in ("x2", "x²", "rose", "röse", "rosé", ".rose", "nullify", "con-1", "a b", "日本"):
        places.take(name, False)
    with pytest.raises(portable.NotPortable):
        places.take("RÖSE", False)


def test_the_attacks_would_notice_a_missing_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own rules alone let links, collisions, bombs and damaged archives through."""

    def python_alone(archive: Path, part: Path, *limits: int) -> None:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(part)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(part, filter="data")

    monkeypatch.setattr(archives, "_unpack", python_alone)
    monkeypatch.setattr(torture, "SETTINGS", [])
    weak = "symbolic_link names_that_fall_together damaged_header windows_places bomb_after_the_end"
    monkeypatch.setattr(torture, "ATTACKS", [getattr(torture, name) for name in weak.split()])
    outcome = torture.attack(20, 0, tmp_path)
    noticed = {failure.split()[0] for failure in outcome.failures}
    assert noticed == set(weak.split())
