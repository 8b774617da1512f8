"""Photos listed by several processes: what one alone finds, and the sentence that it would say."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flowerlib import cli
from flowerlib.data.records import packed, parquet, shards
from flowerlib.support.errors import InputError
from tests.data import stores
from tests.warm import together

PROGRAM = """
import json, sys
from flowerlib.support import distributed
from tests.data.test_shared_listing import outcomes

with distributed.started():
    said, listed = outcomes(sys.argv[1:])
    print(json.dumps([distributed.from_main(lambda: said), listed]))
"""


def listing(door: str) -> dict[str, object]:
    """All that is found at a door, in its order; or the sentence that refuses it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowerlib.data.digests.MOMENT", 0)  # new files, too, have marks
        try:
            found = packed.read(door)
            found.refuse()
        except InputError as problem:
            return {"refused": str(problem)}
    source = found.inside.source
    marks = [mark.hex() for mark in source.marks()]
    rest = {"size": source.size.tolist()} if isinstance(source, shards.Shards) else {}
    if isinstance(source, parquet.Tables):
        rest = {"ends": [ends.tolist() for ends in source.ends], "column": source.column}
    places = [source.name(row) for row in range(len(source))]
    kinds = [str(source.file.dtype), str(source.start.dtype)]
    return {
        **{"labels": found.labels, "splits": found.splits, "left_out": [*found.left_out.items()]},
        **{"names": places, "start": source.start.tolist(), "marks": marks, "kinds": kinds, **rest},
    }


def outcomes(doors: list[str]) -> tuple[list[dict[str, object]], list[str]]:
    """The listing of each door as all get it, and the names of the files that this one opened."""
    from flowerlib.support import distributed

    opened: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "look_into", _noting(shards.look_into, opened))
        found = [distributed.from_main(functools.partial(listing, door)) for door in doors]
    return found, opened


def _noting(work: Callable[..., object], opened: list[str]) -> Callable[..., object]:
    @functools.wraps(work)  # it is pickled by this name
    def noting(file: Path, *given: object, **named: object) -> object:
        opened.append(f"{file.parent.name}/{file.name}")
        return work(file, *given, **named)

    return noting


def damaged(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:1500])


@pytest.fixture(scope="module")
def doors(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Shards and tables, whole, with other things in them, with splits; and with faults."""
    root = tmp_path_factory.mktemp("doors")
    whole = stores.write_shards(folder, root / "whole", size=9)
    content = next(folder.rglob("*.jpg")).read_bytes()
    strange = [("README", b""), ("a.txt", b""), ("a.jpg", content), ("a.cls", b"rose")]
    strange += [("é\n/b.left.png", b""), ("é\n/b.jpg", content), ("é\n/b.JSON", b'{"label": 3}')]
    shutil.copytree(whole, root / "more")
    stores.write_tar(root / "more" / "003.tar", strange)
    stores.write_tar(root / "more" / "005.tar", [])
    (root / "named").mkdir()
    for number, shard in enumerate(sorted(whole.iterdir())):
        part = ("train", "val", "test")[number % 3]
        shutil.copy(shard, root / "named" / f"{part}-{number:03}.tar")
    for name, faulty in {"second": [1], "later": [5, 3], "last": [6], "first": [0, 1, 2]}.items():
        shutil.copytree(whole, root / name)
        for number in faulty:
            damaged(root / name / f"{number:03}.tar")
    shutil.copytree(root / "later", root / "mixed")  # of two faults, that of the first shard
    stores.write_tar(root / "mixed" / "002.tar", [("c.jpg", content), ("c.cls", b"\xff\xfe")])
    shutil.copytree(whole, root / "unlabeled")
    stores.write_tar(root / "unlabeled" / "004.tar", [("d.jpg", content)])
    return [str(path) for path in sorted(root.iterdir())] + [str(whole / "000.tar")]


@pytest.fixture(scope="module")
def table_doors(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, of the extra scale")
    root = tmp_path_factory.mktemp("tables")
    photos, names = stores.listed(folder), sorted(path.name for path in folder.iterdir())
    for number in range(5):
        some = photos[number::5]
        stores.write_parquet(root / "plain" / f"{number}.parquet", some)
        part = ("train", "validation", "test")[number % 3]
        stores.write_parquet(root / "named" / f"{part}-{number}.parquet", some, names)
        stores.write_parquet(root / "faulty" / f"{number}.parquet", some)
    for number in (4, 3):
        damaged(root / "faulty" / f"{number}.parquet")
    return [str(path) for path in sorted(root.iterdir())]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_number_of_processes_lists_as_one(
    size: int, doors: list[str], table_doors: list[str]
) -> None:
    several = [*doors, *table_doors]
    alone = [listing(door) for door in several]
    refusals = [str(found["refused"]) for found in alone if "refused" in found]
    faults = ("000.tar is cut", "006.tar is cut", "003.tar is cut", "002.tar/c.cls is no text")
    assert all(any(fault in said for said in refusals) for fault in faults), refusals
    assert len(refusals) == 7, refusals
    ended = together(["-c", PROGRAM, *several], size)
    assert [one.code for one in ended] == [0] * size, ended
    found = [json.loads(one.out) for one in ended]
    for listed, _ in found:
        assert listed == json.loads(json.dumps(alone))
    opened = [set(names) for _, names in found]
    whole = {f"whole/{number:03}.tar" for number in range(7)}
    for rank, names in enumerate(opened):  # each its share
        assert names & whole == {*sorted(whole)[rank::size]}


def test_a_damaged_shard_ends_all_processes_with_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed_photos = stores.write_shards(folder, tmp_path / "shards", size=9)
    for number in (5, 3):  # both are the second process's
        damaged(packed_photos / f"{number:03}.tar")
    out = tmp_path / "run"
    arguments = ["train", str(packed_photos), "--backbone", "small_resnet", "--out", str(out)]
    assert cli.main(arguments) == 2
    alone = capsys.readouterr().err.removeprefix("flowerlib: ")
    both = together(["-m", "flowerlib", *arguments])
    assert [ended.code for ended in both] == [2, 2], both
    said = [line for ended in both for line in ended.err.splitlines() if "flowerlib: " in line]
    assert said == [f"flowerlib: process 0 of 2: {alone.rstrip()}"] and "003.tar" in alone
    assert not out.exists()


def test_a_shard_that_only_some_machines_see_is_named(folder: Path, tmp_path: Path) -> None:
    shard = stores.write_shards(folder, tmp_path / "shards") / "000.tar"
    shard.unlink()
    with pytest.raises(InputError, match=r"000.tar cannot be read \(No such file.*\); make it"):
        shards.look_into(shard, None)
