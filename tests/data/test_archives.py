"""Archives come out whole and inside their folder, or not at all."""

from __future__ import annotations

import os
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from flowerlib.data.sources import archives
from flowerlib.support.errors import InputError
from tests.fuzz.attacks import archives as torture

FILES = {"rose/1.jpg": b"one", "rose/2.jpg": b"", "lily/ä/3.jpg": b"three" * 9999}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An honest .tgz."""
    torture.write(tmp_path / "files", FILES)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.add(tmp_path / "files", ".")
    return tmp_path / "a.tgz"


def find_missing(folder: Path) -> str | None:
    found = len(torture.read(folder))
    return None if found == 3 else f"holds {found} of 3 files"


def test_an_honest_archive(archive: Path, tmp_path: Path) -> None:
    folder = archives.extract(archive, tmp_path / "new" / "out")
    assert torture.read(folder) == FILES
    assert os.listdir(folder.parent) == [".out.lock", "out"] or os.name == "nt"


def test_a_folder_that_exists_is_not_touched(archive: Path, tmp_path: Path) -> None:
    torture.write(tmp_path / "out", {"mine": b"mine"})
    with pytest.raises(InputError, match="out exists already; choose another, or remove it"):
        archives.extract(archive, tmp_path / "out")
    assert torture.read(tmp_path / "out") == {"mine": b"mine"}


def test_incomplete_folders_are_moved_aside(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("out.incomplete", "out.incomplete1"):
        torture.write(out, {name: b"mine"})
        archives.extract(archive, out, find_missing=find_missing)
        assert torture.read(out) == FILES
        assert torture.read(tmp_path / name) == {name: b"mine"}
        (out / "rose" / "1.jpg").rename(tmp_path / "moved")
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    before = (tmp_path / "a.tgz").read_bytes()
    torture.write(out, FILES)
    (tmp_path / "a.tgz").write_bytes(b"not needed")
    assert archives.extract(archive, out, find_missing=find_missing) == out
    (out / "rose" / "1.jpg").unlink()
    (tmp_path / "a.tgz").write_bytes(before[:-100])
    with pytest.raises(InputError, match=r"a\.tgz is damaged, or no"):
        archives.extract(archive, out, find_missing=find_missing)
    assert len(torture.read(out)) == 2, "a failed repair leaves everything as it was"


def test_too_few_files_are_not_called_whole(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="out was not made: what was unpacked holds no roses"):
        archives.extract(archive, tmp_path / "out", find_missing=lambda _: "holds no roses")
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.part").exists()


def test_a_member_that_leads_out_is_refused(tmp_path: Path) -> None:
    members = [torture.member("rose.jpg", b"rose"), torture.member("../evil", b"evil")]
    (tmp_path / "a.tgz").write_bytes(torture.tar(members))
    with pytest.raises(InputError, match=r"a\.tgz is refused: .*\.\./evil.*; nothing was unpacked"):
        archives.extract(tmp_path / "a.tgz", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "evil").exists()


def test_a_missing_archive(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tgz", tmp_path):
        with pytest.raises(InputError, match="no such archive"):
            archives.extract(path, tmp_path / "out")


def test_a_folder_that_cannot_be_written(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write .*file/out: \w+"):
        archives.extract(archive, tmp_path / "file" / "out")


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        torture.write(part, FILES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archives.build(tmp_path / "out", fill)
    assert os.listdir(tmp_path) == [".out.lock"]


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    calls: Counter[str] = Counter()

    def fill(part: Path) -> None:
        calls["filled"] += 1
        time.sleep(0.05)
        torture.write(part, FILES)

    def work() -> None:
        if archives.build(tmp_path / "out", fill, find_missing=find_missing) == tmp_path / "out":
            calls["same"] += 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == {"filled": 1, "same": 5}
    assert sorted(os.listdir(tmp_path)) == [".out.lock", "out"]


def test_the_attacks_would_notice_a_missing_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default of `tarfile` before Python 3.14 lets links lead out of the folder."""
    real = archives.tarfile.TarFile.extractall

    def extract_all(opened: tarfile.TarFile, folder: Path, filter: str) -> None:
        real(opened, folder, filter="fully_trusted")

    monkeypatch.setattr(archives.tarfile.TarFile, "extractall", extract_all)
    weak = "symbolic_link link_in_place_of_a_folder hard_link"
    monkeypatch.setattr(torture, "ATTACKS", [getattr(torture, name) for name in weak.split()])
    outcome = torture.attack(12, 0, tmp_path)
    noticed = {failure.split()[0] for failure in outcome.failures}
    assert noticed == set(weak.split())
