"""Photos in shards, in Parquet tables, at addresses: the same as in a folder."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from flowerlib import audit, cli, data, features, models
from flowerlib.data import Photos, Splits
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.data.folders import addresses
from flowerlib.data.records import packed as packing
from flowerlib.data.records import parquet, shards
from flowerlib.data.stored import Stored
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing
from tests.data import stores
from tests.flower_photos import NAMES as FLOWERS
from tests.warm import together

PARTS = ("train", "valid", "test")
EXACT = {"precision": "fp32", "device": "cpu", "cache": False}
ENDPOINT = "AWS_ENDPOINT_URL"


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    return stores.write_shards(folder, folder.parent / "shards")


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, of the extra scale")
    names = sorted(path.name for path in folder.iterdir())
    return stores.write_parquet(folder.parent / "table.parquet", stores.listed(folder), names)


@pytest.fixture(scope="module")
def memory(folder: Path) -> Iterator[str]:
    import fsspec

    yield stores.upload(folder, "memory://flowers/photos")
    fsspec.filesystem("memory").rm("/flowers", recursive=True)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a bucket of a server on this computer."""
    pytest.importorskip("s3fs", reason="s3:// needs s3fs, of the extra scale")
    server = pytest.importorskip("moto.server", reason="there is no server to test with: moto")
    started = server.ThreadedMotoServer(port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    names = {
        ENDPOINT: f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    import s3fs

    s3fs.S3FileSystem().mkdir("flowers")
    yield "s3://flowers"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    s3fs.S3FileSystem.clear_instance_cache()
    started.stop()


@pytest.fixture(params=["shards", "json shards", "table", "memory", "file", "bucket"])
def door(request: pytest.FixtureRequest, folder: Path) -> str:
    """What `flowerlib train` is given for the same photos."""
    kind = request.param
    if kind == "json shards":
        return str(stores.write_shards(folder, folder.parent / "json", "json"))
    if kind == "file":
        return folder.as_uri()
    if kind == "bucket":
        return stores.upload(folder, f"{request.getfixturevalue('bucket')}/photos")
    return str(request.getfixturevalue({"shards": "packed"}.get(kind, kind)))


def values(photos: Photos) -> dict[bytes, torch.Tensor]:
    """The features of each photo, by its content."""
    backbone = models.backbone("small_resnet", "small")
    found = features.extract(backbone, photos, Preprocessing(48, 48), **EXACT).values
    return dict(zip([photos.digest(at) for at in range(len(photos))], found, strict=True))


def same(one: Splits, other: Splits) -> None:
    assert one.class_names == other.class_names
    assert stores.parts(one) == stores.parts(other)


def test_every_door_leads_to_the_same_splits_and_features(folder: Path, door: str) -> None:
    known, found = data.image_folder(folder), data.from_name(door)
    same(found, known)
    assert found.files is not None and found.files.used == 56
    mine, theirs = values(found.train), values(known.train)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[content], theirs[content]) for content in mine)


def test_they_can_be_pickled_for_a_process_that_starts_anew(
    packed: Path, request: pytest.FixtureRequest
) -> None:
    doors = [str(packed)]
    if importlib.util.find_spec("pyarrow"):
        doors.append(str(request.getfixturevalue("table")))
    if importlib.util.find_spec("s3fs") and importlib.util.find_spec("moto"):
        bucket = request.getfixturevalue("bucket")
        doors.append(stores.upload(request.getfixturevalue("folder"), f"{bucket}/pickled"))
    given = [data.from_name(door).train for door in doors]
    want = [[one.opened(at)[1] for at in range(len(one))] for one in given]  # all are open now
    code = (
        "import pickle, sys; given = pickle.load(sys.stdin.buffer); "
        "print([[one.opened(at)[1] for at in range(len(one))] for one in given])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(given), capture_output=True
    )
    assert ended.stdout.decode().strip() == str(want), ended.stderr.decode()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_them_in_any_order(table: Path, packed: Path, workers: int) -> None:
    for door in (table, packed):
        photos = data.from_name(str(door)).train
        loader = data.loader(
            photos, Preprocessing(32, 32), batch_size=7, shuffle=True, workers=workers
        )
        first = [labels.tolist() for _, labels in loader]
        assert sorted(sum(first, [])) == sorted(photos.labels.tolist())


def test_parts_and_joined_parts_share_what_is_known(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = data.from_shards(packed)
    monkeypatch.setattr(shards.Shards, "read", None)  # all digests are known from the division
    both = data.join(splits.train, splits.valid)
    assert isinstance(both.contents, Stored)
    assert len(set(both.digests().tolist())) == len(splits.train) + len(splits.valid)


def test_photos_are_opened_in_the_order_in_which_they_lie(
    packed: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By digest and by class they would be spread over all shards, and over all row groups."""
    opened: list[int] = []
    usual = shards.Shards.read

    def read(self: shards.Shards, row: int) -> bytes:
        opened.append(row)
        return usual(self, row)

    monkeypatch.setattr(shards.Shards, "read", read)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    monkeypatch.setattr("flowerlib.data.splitting.thumbnails.CHUNK_SIZE", 56)  # in one thread
    photos = data.from_shards(packed).train
    assert opened == [*range(56), *range(56)]  # for digests, and for thumbnails
    opened.clear()
    values(photos)
    assert isinstance(photos.contents, Stored)
    assert opened == sorted(photos.contents.rows) != photos.contents.rows.tolist()


def test_the_cache_gives_each_photo_its_own_features(packed: Path, own_cache: Path) -> None:
    """They are computed in another order than that of the photos."""
    photos = data.from_shards(packed).train
    backbone = models.backbone("small_resnet", "small")
    how = {**EXACT, "cache": True}
    computed, known = (
        features.extract(backbone, photos, Preprocessing(48, 48), **how) for _ in range(2)
    )
    assert (computed.computed, known.computed) == (len(photos), 0)
    assert torch.equal(computed.values, known.values)


def test_digests_of_an_earlier_process_are_recalled(
    packed: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowerlib.data.digests.MANY", 1)
    mine = Path(shutil.copytree(packed, tmp_path / "shards"))
    for shard in mine.iterdir():
        os.utime(shard, (1, 1))
    monkeypatch.setattr("flowerlib.data.digests.MOMENT", 0)
    first = Photos(Stored(shards.read(mine).source), [0] * 56, ["flower"])
    known = first.digests()
    again = Photos(Stored(shards.read(mine).source), [0] * 56, ["flower"])
    with monkeypatch.context() as context:
        context.setattr(shards.Shards, "read", None)
        assert (again.digests() == known).all()
    os.utime(mine / "000.tar", (2, 2))  # changed, for all that is known
    third = Photos(Stored(shards.read(mine).source), [0] * 56, ["flower"])
    with monkeypatch.context() as context, pytest.raises(TypeError):
        context.setattr(shards.Shards, "read", None)
        third.digests()
    assert (third.digests() == known).all()


# Shards


def test_a_shard_of_webdataset_is_read_as_webdataset_reads_it(folder: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="of the extra scale")
    (tmp_path / "written").mkdir()
    names = sorted(path.name for path in folder.iterdir())
    with webdataset.ShardWriter(f"{tmp_path}/written/%03d.tar", maxcount=15, verbose=0) as writer:
        for path, name in stores.listed(folder):
            key = f"photos/{path.stem}"
            sample = {"__key__": key, "JPG": path.read_bytes(), "cls": names.index(name)}
            writer.write({**sample, "txt": "a caption", "left.png": b"no photo of ours"})
    shards_of = sorted((tmp_path / "written").iterdir())
    assert len(shards_of) == 4
    theirs = webdataset.WebDataset([*map(str, shards_of)], shardshuffle=False, empty_check=False)
    want = [(one["__key__"], one["jpg"], one["cls"].decode()) for one in theirs]
    found = shards.read(f"{tmp_path}/written/{{000..003}}.tar")
    source = found.source
    mine = [
        (source.members[row].rpartition(".")[0], source.read(row), found.cells["label"][row])
        for row in range(len(source))
    ]
    assert mine == want and len(mine) == 56
    assert found.left_out == {".txt": 56, ".left.png": 56}
    splits = data.from_shards(tmp_path / "written")
    assert splits.class_names == ("0", "1", "2", "3")
    assert splits.files is not None and splits.files.left_out == {".txt": 56, ".left.png": 56}


def test_names_of_shards_say_the_split(flower_folder: Path, tmp_path: Path) -> None:
    for part, name in {"train": "flowers-train", "valid": "flowers-val", "test": "test"}.items():
        stores.write_shards(flower_folder / part, tmp_path / part, size=9)
        for number, shard in enumerate(sorted((tmp_path / part).iterdir())):
            (tmp_path / "flat").mkdir(exist_ok=True)
            shutil.copy(shard, tmp_path / "flat" / f"{name}-{number:04}.tar")
    known = data.image_folder(flower_folder)
    same(data.from_shards(tmp_path / "flat"), known)
    if importlib.util.find_spec("braceexpand"):
        names = "{flowers-train-{0000..0003},{flowers-val,test}-{0000..0001}}.tar"
        same(data.from_shards(tmp_path / "flat" / names), known)
    shutil.rmtree(tmp_path / "flat")
    same(data.from_shards(tmp_path), known)  # train/, valid/ and test/ hold shards
    same(data.from_name(tmp_path.as_uri()), known)


def test_shards_beside_tables_are_neither(packed: Path, tmp_path: Path) -> None:
    shutil.copy(packed / "000.tar", tmp_path)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="holds shards and Parquet tables; put each kind"):
        data.from_name(str(tmp_path))


def test_a_folder_with_classes_or_photos_is_no_folder_of_shards(
    folder: Path, packed: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(folder, tmp_path / "photos"))
    shutil.copy(packed / "000.tar", root / "backup.tar")
    found = data.from_name(str(root))
    assert found.files is not None and found.files.left_out == {".tar": 1}
    shutil.copy(packed / "000.tar", root / "rose" / "backup.tar")
    assert data.from_name(str(root)).files.left_out == {".tar": 2}  # type: ignore[union-attr]


class Danger:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("ending", ["pyd", "pkl", "pickle", "pth", "pt"])
def test_nothing_in_a_shard_is_unpickled(folder: Path, tmp_path: Path, ending: str) -> None:
    trace = tmp_path / "trace"
    danger = pickle.dumps(Danger(str(trace)))
    members = []
    for path, name in stores.listed(folder):
        members += [(f"{path.stem}.jpg", path.read_bytes()), (f"{path.stem}.{ending}", danger)]
        members += [(f"{path.stem}.cls", name.encode())]
    stores.write_tar(tmp_path / "shards" / "0.tar", members)
    splits = data.from_shards(tmp_path / "shards")
    values(splits.train)
    assert splits.files is not None and splits.files.left_out == {f".{ending}": 56}
    assert not trace.exists()


def test_links_and_folders_in_a_shard_lead_nowhere(folder: Path, tmp_path: Path) -> None:
    content = next(folder.rglob("*.jpg")).read_bytes()
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("s.jpg", tarfile.SYMTYPE)):
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, "/etc/passwd"
            archive.addfile(about)
        about = tarfile.TarInfo("a" * 150 + "/b.jpg")  # a long name has members of its own
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    source = shards.read(tmp_path / "0.tar").source
    assert [source.read(row) for row in range(len(source))] == [content]


def photo(folder: Path) -> bytes:
    return next(folder.rglob("*.jpg")).read_bytes()


BAD_SHARDS: dict[str, tuple[Callable[[bytes], list[tuple[str, bytes]]], str]] = {
    "key without picture": (
        lambda jpg: [("a.jpg", jpg), ("a.cls", b"x"), ("b.cls", b"y")],
        "0.tar: the key b has no picture (cls)",
    ),
    "two pictures": (
        lambda jpg: [("a.jpg", jpg), ("a.png", jpg), ("a.cls", b"x")],
        "0.tar: the key a has two pictures",
    ),
    "twice": (
        lambda jpg: [("a.cls", b"x"), ("a.cls", b"y"), ("a.jpg", jpg)],
        "0.tar: the key a has two members that end alike",
    ),
    "label missing": (
        lambda jpg: [("a.jpg", jpg), ("a.cls", b"x"), ("b.jpg", jpg)],
        "1 of 2 photos has no label, such as {shards}/0.tar/b.jpg",
    ),
    "label missing in json": (
        lambda jpg: [("a.jpg", jpg), ("a.cls", b"x"), ("b.jpg", jpg), ("b.json", b"{}")],
        "1 of 2 photos has no label, such as {shards}/0.tar/b.jpg",
    ),
    "no labels": (
        lambda jpg: [("rose/a.jpg", jpg), ("daisy/b.jpg", jpg)],
        "no photo has a class (a member .cls or .json with the same key)",
    ),
    "broken json": (
        lambda jpg: [("a.jpg", jpg), ("a.json", b"{")],
        "0.tar/a.json is no JSON",
    ),
    "deep json": (
        lambda jpg: [("a.jpg", jpg), ("a.json", b"[" * 100_000)],
        "0.tar/a.json is no JSON",
    ),
    "label of json is a list": (
        lambda jpg: [("a.jpg", jpg), ("a.json", b'{"label": [1]}')],
        "0.tar/a.json has [1] for a label",
    ),
    "binary cls": (
        lambda jpg: [("a.jpg", jpg), ("a.cls", b"\xff\xfe")],
        "0.tar/a.cls is no text in UTF-8",
    ),
    "one class": (
        lambda jpg: [("a.jpg", jpg), ("a.cls", b"x")],
        "holds only the class x; two are needed",
    ),
    "nothing": (lambda jpg: [], "lists no photo"),
}


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, door: Path | str) -> str:
    """What `train` says in one sentence, with exit code 2 and nothing written."""
    out = tmp_path / "run"
    arguments = ["train", str(door), "--backbone", "small_resnet", "--out", str(out)]
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("flowerlib: ") and not out.exists()
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize("fault", BAD_SHARDS)
def test_a_bad_shard_is_refused_in_one_sentence(
    fault: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, sentence = BAD_SHARDS[fault]
    stores.write_tar(tmp_path / "shards" / "0.tar", make(photo(folder)))
    said = refused(capsys, tmp_path, tmp_path / "shards")
    assert sentence.format(shards=tmp_path / "shards") in said


@pytest.mark.parametrize("keep", [100, 700, -10240, 1024, 2048])
def test_a_shard_that_is_cut_off_is_refused(
    keep: int, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (packed / "000.tar").read_bytes()
    if keep < 0:  # between two members, which tarfile takes for the end
        with tarfile.open(packed / "000.tar") as archive:
            keep = archive.getmembers()[4].offset
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0.tar").write_bytes(content[:keep])
    said = refused(capsys, tmp_path, tmp_path / "shards")
    assert "0.tar is cut off or damaged behind" in said


def test_a_damaged_header_does_not_end_a_shard(packed: Path, tmp_path: Path) -> None:
    content = bytearray((packed / "000.tar").read_bytes())
    with tarfile.open(packed / "000.tar") as archive:
        at = archive.getmembers()[6].offset
    content[at + 20] ^= 1
    (tmp_path / "0.tar").write_bytes(content)
    with pytest.raises(InputError, match="cut off or damaged behind"):
        shards.read(tmp_path / "0.tar")


def test_a_compressed_shard_is_to_be_unpacked(packed: Path, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "0.tar").write_bytes(gzip.compress((packed / "000.tar").read_bytes()))
    with pytest.raises(InputError, match="is compressed, .* unpack it"):
        shards.read(tmp_path / "0.tar")


def test_shards_that_are_not_there_are_named(packed: Path) -> None:
    pytest.importorskip("braceexpand", reason="of the extra scale")
    with pytest.raises(InputError, match="003.tar: no such file"):
        data.from_shards(packed / "{000..007}.tar")
    with pytest.raises(InputError, match="brace is not closed"):
        data.from_shards(packed / "{000..007.tar")
    with pytest.raises(InputError, match="neither a tar shard nor a folder"):
        data.from_shards(packed.parent / "photos")


def test_some_shards_with_a_split_and_some_without(packed: Path, tmp_path: Path) -> None:
    for name in ("train-0.tar", "more.tar"):
        shutil.copy(packed / "000.tar", tmp_path / name)
    with pytest.raises(InputError, match="train-0.tar names its split, and .*more.tar does not"):
        data.from_shards(tmp_path)


@pytest.mark.parametrize("name", ["train-test-split-0", "test-dev-000", "Val.Training"])
def test_a_name_with_two_splits_is_refused(packed: Path, tmp_path: Path, name: str) -> None:
    """Taken by its first word, a shard of all photos would be one of training."""
    shard = Path(shutil.copy(packed / "000.tar", tmp_path / f"{name}.tar"))
    for read in (data.from_shards, audit.check):
        with pytest.raises(InputError, match=f"{name}.tar names two splits, ") as refused:
            read(shard)
        assert "\n" not in str(refused.value)
    assert len(packing.pictures(shard)) == 20  # to predict, no split is needed
    shard.rename(tmp_path / "training-set-train-0.tar")  # one split, twice
    assert len(data.labeled_photos(tmp_path, FLOWERS, split="train")[0]) == 20


def test_a_column_says_the_split_whatever_the_tables_are_called(
    folder: Path, tmp_path: Path
) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as arrow

    photos = stores.listed(folder)
    columns = {
        "image": [path.read_bytes() for path, _ in photos],
        "label": [name for _, name in photos],
        "split": ["test" if path.stem[-1] == "1" else "train" for path, _ in photos],
    }
    for name in ("train-test.parquet", "more.parquet"):
        arrow.write_table(pa.table(columns), tmp_path / name)
    found = packing.read(tmp_path)
    assert found.splits == columns["split"] * 2


def test_unreadable_photos_are_named_with_shard_and_key(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = []
    for path, name in stores.listed(folder):
        content = path.read_bytes()
        if path.stem == "rose_03":
            content = content[: len(content) // 2]
        members += [(f"{path.stem}.jpg", content), (f"{path.stem}.cls", name.encode())]
    shard = stores.write_tar(tmp_path / "shards" / "0.tar", members)
    out = tmp_path / "run"
    arguments = ["--backbone", "small_resnet", "--out", str(out)]
    assert cli.main(["train", str(shard.parent), *arguments]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"1 unreadable photo: {shard}/rose_03.jpg: the picture is damaged" in said
    assert not out.exists()
    assert cli.main(["check", str(shard.parent)]) == 1
    assert "shards/0.tar/rose_03.jpg: the picture is damaged" in capsys.readouterr().out


def test_a_shard_that_shrinks_is_noticed(packed: Path, tmp_path: Path) -> None:
    shard = Path(shutil.copy(packed / "000.tar", tmp_path / "0.tar"))
    source = shards.read(shard).source
    shard.write_bytes(shard.read_bytes()[:4000])
    with pytest.raises(PhotoError, match="the shard is shorter than it was"):
        source.read(len(source) - 1)
    shard.unlink()
    with pytest.raises(PhotoError, match="the shard cannot be read"):
        source.read(0)


# Parquet


def test_names_of_tables_say_the_split(flower_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for part, name in {"train": "train", "valid": "validation", "test": "test"}.items():
        photos = stores.listed(flower_folder / part)
        half = len(photos) // 2
        for number, some in enumerate((photos[:half], photos[half:])):
            file = tmp_path / "data" / f"{name}-0000{number}-of-00002.parquet"
            stores.write_parquet(file, some)
    same(data.from_table(tmp_path), data.image_folder(flower_folder))
    same(data.from_name(str(tmp_path / "data")), data.image_folder(flower_folder))


@pytest.mark.parametrize("options", [{}, {"row_group_size": 1000}, {"compression": "zstd"}])
def test_any_order_gives_the_same_bytes(
    folder: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    pytest.importorskip("pyarrow")
    photos = stores.listed(folder)
    file = stores.write_parquet(tmp_path / "t.parquet", photos, **options)
    source = parquet.read(file, {"path": "image"}).source
    for row in [*np.random.default_rng(1).permutation(56).tolist(), 55, 0, 0]:
        assert source.read(row) == photos[row][0].read_bytes()
        assert source.name(row) == f"{file}#{row}"


def test_columns_can_be_named_and_hold_splits_and_groups(folder: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as arrow

    photos = stores.listed(folder)
    columns = {
        "jpeg": [path.read_bytes() for path, _ in photos],
        "species": [name for _, name in photos],
        "fold": ["Training" if path.stem[-1] < "6" else "val" for path, _ in photos],
        "plant": [f"{name}{path.stem[-1]}" for path, name in photos],
    }
    file = tmp_path / "t.parquet"
    arrow.write_table(pa.table(columns), file)
    found = data.from_table(file, path="jpeg", label="species", split="fold", group="plant")
    assert len(found.train) == sum(fold == "Training" for fold in columns["fold"])
    with pytest.raises(InputError, match='no column "breed"; it has jpeg, species, fold, plant'):
        data.from_table(file, path="jpeg", label="breed")
    with pytest.raises(InputError, match="no column for the path; it has jpeg"):
        data.from_table(file)
    with pytest.raises(InputError, match='the column "species" holds string, which is no content'):
        data.from_table(file, path="species", label="fold")


def test_bad_tables_are_refused_in_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as arrow

    photos, names = stores.listed(folder), ["daisy", "iris", "lily", "rose"]
    file = stores.write_parquet(tmp_path / "t.parquet", photos, names)
    known = arrow.read_table(file)

    def changed(labels: list[int | None]) -> None:
        column = pa.array(labels, pa.int64())
        arrow.write_table(known.set_column(1, "label", column), file)

    given = known.column("label").to_pylist()
    changed([-1, None, *given[2:]])
    assert f"2 of 56 photos have no label, such as {file}#0" in refused(capsys, tmp_path, file)
    changed([4, *given[1:]])
    assert "holds 4, but its 4 classes are numbered from 0" in refused(capsys, tmp_path, file)
    image = known.column("image").to_pylist()
    image[5] = {"bytes": None, "path": "rose.jpg"}
    kind = known.schema.field("image").type
    image[7] = None
    arrow.write_table(known.set_column(0, "image", pa.array(image, kind)), file)
    said = refused(capsys, tmp_path, file)
    assert f"2 unreadable photos: {file}#5: there is no content in the row" in said
    assert f"{file}#7: there is no content in the row" in said
    file.write_bytes(file.read_bytes()[:-100])
    assert f"{file} is no whole Parquet file" in refused(capsys, tmp_path, file)
    assert "none.parquet: no such file" in refused(capsys, tmp_path, tmp_path / "none.parquet")


def test_a_table_that_is_damaged_inside_names_the_row(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    photos = stores.listed(folder)
    file = stores.write_parquet(tmp_path / "t.parquet", photos, compression="zstd")
    source = parquet.read(file, {"path": "image"}).source
    content = bytearray(file.read_bytes())
    content[100:4000] = bytes(3900)
    file.write_bytes(content)
    with pytest.raises(PhotoError, match=r"t.parquet#3: the table cannot be read here"):
        source.read(3)
    assert source.read(55) == photos[55][0].read_bytes()
    file.unlink()
    with pytest.raises(PhotoError, match=r"t.parquet#3: the table cannot be read here"):
        source.read(3)


# Addresses


def test_addresses_may_have_split_folders_and_names_of_classes(
    flower_folder: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(flower_folder, tmp_path / "photos"))
    (root / "cat_to_name.json").write_text(
        json.dumps({name: name.upper() for name in ("daisy", "iris", "lily", "rose")})
    )
    for name in (".hidden.jpg", "Thumbs.db", "notes.txt", "rose_no_ending", "text"):
        (root / "train" / "rose" / name).write_bytes(
            photo(flower_folder) if name == "rose_no_ending" else b"x"
        )
    address = stores.upload(root, "memory://splits/photos")
    mine, known = data.from_name(address), data.from_name(str(root))
    same(mine, known)
    with pytest.warns(UserWarning, match="left out 4 of 61 files"):
        data.image_folder(address)
    assert (mine.files, mine.class_names) == (known.files, known.class_names)
    assert mine.class_names[0] == "DAISY" and mine.name == known.name == "photos"
    names = known.class_names
    one, *_ = data.labeled_photos(address, names, split="test")
    two, *_ = data.labeled_photos(str(root), names, split="test")
    assert stores.by_content(one) == stores.by_content(two)  # the names lie above test/
    assert mine.train.name(0) == "memory://splits/photos/train/daisy/daisy_00.jpg"


def test_what_changed_at_an_address_is_listed_again(folder: Path) -> None:
    import fsspec

    address = stores.upload(folder, "memory://changes/photos")
    assert len(data.from_name(address).train.paths or ()) == 0
    fsspec.filesystem("memory").rm("/changes/photos/rose", recursive=True)
    assert data.from_name(address).class_names == ("daisy", "iris", "lily")
    with pytest.raises(InputError, match="no-such: nothing is there"):
        data.image_folder("memory://no-such")
    with pytest.raises(InputError, match="not a folder"):
        data.image_folder(f"{address}/iris/iris_00.jpg")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nonsense://bucket/photos", "nonsense://bucket/photos .*Protocol not known"),
        ("https://example.org/photos", "is no folder that can be listed; download"),
        ("memory://photos/table.parquet", "are read from files of this computer; copy them"),
        ("memory://photos/table.csv", "are read from files of this computer; copy them"),
        ("s3://", "s3:// names no place; write it out"),
    ],
)
def test_addresses_that_cannot_be_are_refused(
    address: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(sentence, refused(capsys, tmp_path, address))


def test_a_bucket_that_is_not_there(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, tmp_path, "s3://no-such-bucket/photos")
    assert "s3://no-such-bucket/photos: nothing is there" in said
    said = refused(capsys, tmp_path, f"{bucket}/no-such-photos")
    assert "no-such-photos: nothing is there" in said


def test_a_photo_in_a_bucket_that_went_away_is_named(folder: Path, bucket: str) -> None:
    import s3fs

    address = stores.upload(folder, f"{bucket}/going")
    photos = data.from_name(address).train
    gone = photos.name(3)
    s3fs.S3FileSystem().rm(gone)
    with pytest.raises(PhotoError, match=f"{gone}: it cannot be fetched"):
        photos.image(3)


def test_digests_of_a_bucket_are_recalled_by_its_tags(
    folder: Path, bucket: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setattr("flowerlib.data.digests.MANY", 1)
    address = stores.upload(folder, f"{bucket}/tagged")
    known = data.from_name(address).train.digests()
    with monkeypatch.context() as context:
        context.setattr(addresses.Objects, "read", None)
        assert (data.from_name(address).train.digests() == known).all()
    s3fs.S3FileSystem().pipe_file(f"{bucket}/tagged/iris/iris_00.jpg", photo(folder) + b"more")
    splits = data.from_name(address)
    found = set().union(*map(stores.by_content, (splits.train, splits.valid, splits.test)))
    assert images.digest_of(photo(folder) + b"more") in found


@pytest.mark.parametrize(
    ("missing", "door"),
    [("braceexpand", "{0..3}.tar"), ("pyarrow", "t.parquet"), ("s3fs", "s3://bucket/photos")],
)
def test_a_missing_extra_is_named(missing: str, door: str, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    (tmp_path / f"{missing}.py").write_text("raise ImportError('not installed')")
    code = "import sys; from flowerlib import cli; "  # -c looks into the working directory first
    code += f"sys.exit(cli.main(['train', {door!r}, '--out', 'run']))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert "pip install 'flowerlib[scale]'" in ended.stderr
    assert not (tmp_path / "run").exists()


# Commands


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main(["train", str(folder), "--backbone", "small_resnet", "--out", str(out)]) == 0
    return out


def test_train_writes_the_same_from_everywhere(door: str, trained: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    out = tmp_path / "run"
    assert cli.main(["train", door, "--backbone", "small_resnet", "--out", str(out)]) == 0
    results = [json.loads((one / "results.json").read_text()) for one in (out, trained)]
    assert results[0]["test"] == results[1]["test"]
    mine, known = (load_file(one / "classifier.safetensors") for one in (out, trained))
    assert all(np.allclose(mine[name], known[name], atol=1e-5) for name in known)


def test_evaluate_check_and_predict_take_them(
    door: str, trained: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(trained / "classifier.safetensors")]
    capsys.readouterr()
    found = []
    for photos in (door, str(folder)):
        assert cli.main(["evaluate", photos, "--json", *model]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["accuracy"] == found[1]["accuracy"] and found[0]["num_images"] == 56
    assert cli.main(["check", door]) in (0, 1)
    assert "56 photos checked" in capsys.readouterr().out
    mine, known = (audit.check(photos) for photos in (door, folder))
    assert {file.sha256 for file in mine.files} == {file.sha256 for file in known.files}
    assert (len(mine.exact), len(mine.near)) == (len(known.exact), len(known.near))
    assert cli.main(["predict", door, "--json", *model]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 56
    assert cli.main(["predict", door, "--out", str(tmp_path / "a.csv"), *model]) == 0
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == 57 and sorted(answer["photo"] for answer in answers) == sorted(
        line.rsplit(",", 4)[0] for line in lines[1:]
    )


def test_one_photo_at_an_address_can_be_predicted(
    memory: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(trained / "classifier.safetensors")]
    capsys.readouterr()
    assert cli.main(["predict", f"{memory}/rose/rose_00.jpg", *model]) == 0
    assert capsys.readouterr().out.startswith(f"{memory}/rose/rose_00.jpg\n")


def test_stored_photos_can_be_written_as_folders(door: str, folder: Path, tmp_path: Path) -> None:
    splits = data.from_name(door)
    same(data.image_folder(data.to_folders(splits, tmp_path / "copy")), splits)


def test_two_processes_train_and_answer_as_one(
    packed: Path, trained: Path, tmp_path: Path, own_cache: Path
) -> None:
    out = tmp_path / "run"
    small = ["--backbone", "small_resnet", "--out", str(out)]
    both = together(["-m", "flowerlib", "train", str(packed), *small])
    assert [ended.code for ended in both] == [0, 0], both
    results = [json.loads((one / "results.json").read_text()) for one in (out, trained)]
    assert results[0]["test"] == results[1]["test"]
    model = ["--model", str(trained / "classifier.safetensors")]
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    assert cli.main(["predict", str(packed), "--out", str(tables[0]), *model]) == 0
    arguments = ["-m", "flowerlib", "predict", str(packed), "--out", str(tables[1]), *model]
    both = together(arguments)
    assert [ended.code for ended in both] == [0, 0], both
    assert tables[0].read_text() == tables[1].read_text()
    assert f"{packed}/000.tar/" in tables[0].read_text()


SECTION = "## Where photos may be"


def test_commands_of_the_page_do_what_they_say(
    folder: Path,
    packed: Path,
    trained: Path,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Each in a folder that holds what it names, with the smallest network."""
    page = (repository / "docs" / "scale.md").read_text(encoding="utf-8")
    section = page.partition(SECTION)[2].partition("\n## ")[0]
    commands = re.findall(r"```sh\nflowerlib (.*)\n```", section)
    assert [command.split()[1] for command in commands] == [
        "shards", "s3://bucket/photos", "photos.parquet",
    ]  # fmt: skip
    shutil.copytree(packed, tmp_path / "shards")
    monkeypatch.chdir(tmp_path)
    known = json.loads((trained / "results.json").read_text())["test"]
    for command in commands:
        if "s3://" in command:
            if not (importlib.util.find_spec("s3fs") and importlib.util.find_spec("moto")):
                continue
            request.getfixturevalue("bucket")
            import s3fs

            s3fs.S3FileSystem().mkdir("bucket")
            stores.upload(folder, "s3://bucket/photos")
        elif "parquet" in command:
            if not importlib.util.find_spec("pyarrow"):
                continue
            shutil.copy(request.getfixturevalue("table"), tmp_path / "photos.parquet")
        assert cli.main([*command.split(), "--backbone", "small_resnet"]) == 0
        out = Path(command.split()[-1])
        assert json.loads((out / "results.json").read_text())["test"] == known
    answers = re.findall(r"-m flowerlib (predict shards .*)", page)
    shutil.copy(trained / "classifier.safetensors", tmp_path)
    assert len(answers) == 1 and cli.main(answers[0].split()) == 0
    assert len((tmp_path / "shards.csv").read_text().splitlines()) == 57
