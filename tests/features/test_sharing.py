"""Features computed by two processes are those of one, bit for bit, whoever has which cached."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flowerlib import data, features, models
from flowerlib.data import contents
from flowerlib.features import sharing
from tests.data import stores
from tests.warm import Ended, together

PROGRAM = """
import sys
import torch
from flowerlib import data, features, models
from flowerlib.support import distributed
from flowerlib.support.errors import InputError

photos, out = data.from_name(sys.argv[1]).train, sys.argv[2]
backbone = models.freeze(models.backbone("small_densenet", "small"))
preprocessing = models.default_preprocessing(backbone)
kept = []
with distributed.started():
    try:
        for _ in range(2):
            steps = []
            report = lambda done, count: steps.append((done, count))
            found = features.extract(backbone, photos, preprocessing, progress=report)
            kept.append([found.values, found.labels, found.computed, steps])
    except InputError as problem:
        print(problem)
    torch.save(kept, f"{out}/{distributed.rank()}.pt")
"""


@pytest.fixture(scope="module")
def alone(flower_folder: Path) -> features.Features:
    photos = data.image_folder(flower_folder).train
    backbone = models.freeze(models.backbone("small_densenet", "small"))
    preprocessing = models.default_preprocessing(backbone)
    return features.extract(backbone, photos, preprocessing, cache=False)


def by_two(photos: Path, out: Path, caches: list[Path], converted: Path) -> list[Ended]:
    for cache in set(caches):
        cache.mkdir()
        (cache / "networks").symlink_to(converted)  # converting takes seconds
    own = {"FLOWERLIB_CACHE": [str(cache) for cache in caches]}
    both = together(["-c", PROGRAM, str(photos), str(out)], own=own)
    assert [ended.code for ended in both] == [0, 0], both
    return both


@pytest.fixture
def converted(alone: features.Features) -> Path:
    """Where the network was kept that `alone` has converted."""
    return Path(os.environ["FLOWERLIB_CACHE"]) / "networks"


@pytest.mark.parametrize("shared", [True, False], ids=["a shared cache", "a cache each"])
def test_features_are_those_of_one_process(
    shared: bool, alone: features.Features, flower_folder: Path, tmp_path: Path, converted: Path
) -> None:
    caches = [tmp_path / "one", tmp_path / ("one" if shared else "two")]
    by_two(flower_folder, tmp_path, caches, converted)
    for rank in range(2):
        first, second = torch.load(tmp_path / f"{rank}.pt")
        for values, labels, *_ in (first, second):
            assert torch.equal(values, alone.values) and torch.equal(labels, alone.labels)
        assert (first[2], second[2]) == (len(alone), 0)  # the second time, all is known
        assert first[3][-1] == (len(alone), len(alone)) and not second[3]
    kept = sum(len(list(cache.rglob("features/*/*.safetensors"))) for cache in set(caches))
    assert kept == 2  # each has stored its share


@pytest.fixture(scope="module")
def table(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training photos in groups of ten, in another order than their own."""
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, of the extra scale")
    file = tmp_path_factory.mktemp("table") / "train.parquet"
    return stores.write_parquet(file, stores.listed(flower_folder / "train"))


def test_features_of_a_table_are_those_of_its_photos(
    table: Path, alone: features.Features, flower_folder: Path, tmp_path: Path, converted: Path
) -> None:
    photos = data.from_name(str(table)).train  # valid is taken out of it
    place = data.image_folder(flower_folder).train.digests().tolist()
    rows = [place.index(content) for content in photos.digests().tolist()]
    by_two(table, tmp_path, [tmp_path / "one", tmp_path / "two"], converted)
    for rank in range(2):
        for values, labels, *_ in torch.load(tmp_path / f"{rank}.pt"):
            assert torch.equal(values, alone.values[rows]) and torch.equal(
                labels, alone.labels[rows]
            )


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_group_of_rows_is_unpacked_by_one_process(table: Path, size: int) -> None:
    """But for one at each seam between two shares."""
    photos = data.from_name(str(table)).train.contents
    rows = np.random.default_rng(0).permutation(len(photos))[:-2]
    shares = sharing.dealt(photos, rows, size)
    assert sorted(np.concatenate(shares)) == sorted(rows)
    assert {len(share) for share in shares} <= {len(rows) // size, -(-len(rows) // size)}
    groups = [set(photos.order()[share] // 10) for share in shares]
    assert sum(map(len, groups)) <= len(set.union(*groups)) + size - 1
    other = contents.Pixels(np.zeros((len(photos), 1, 1, 3), np.uint8))
    assert [share.tolist() for share in sharing.dealt(other, rows, size)] == [
        rows[rank::size].tolist() for rank in range(size)
    ]


def test_unreadable_photos_of_all_processes_are_named_by_all(
    flower_folder: Path, tmp_path: Path, converted: Path
) -> None:
    photos = Path(shutil.copytree(flower_folder, tmp_path / "photos"))
    broken = sorted((photos / "train").rglob("*.jpg"))[4:6]  # one in each share
    for file in broken:
        file.write_bytes(file.read_bytes()[:-500])
    for ended in by_two(photos, tmp_path, [tmp_path / "cache"] * 2, converted):
        assert all(file.name in ended.out for file in broken), ended.out
