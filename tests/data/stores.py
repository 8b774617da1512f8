"""The same photos as a folder has, written as shards, as Parquet, and to a store."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flowerlib.data import Photos, Splits


def listed(folder: Path) -> list[tuple[Path, str]]:
    """Each photo below a folder and its class, shuffled as shards usually are."""
    found = [(path, path.parent.name) for path in sorted(folder.rglob("*.jpg"))]
    return [found[at] for at in np.random.default_rng(0).permutation(len(found))]


def write_tar(shard: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """A tar file of some names and contents."""
    shard.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard, "w") as archive:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return shard


def write_shards(folder: Path, out: Path, form: str = "cls", size: int = 20) -> Path:
    """The photos of class folders as shards with their classes in `cls` or `json`."""
    photos = listed(folder)
    for number, start in enumerate(range(0, len(photos), size)):
        members = []
        for path, name in photos[start : start + size]:
            label = name.encode() if form == "cls" else json.dumps({"label": name}).encode()
            members += [(f"{path.stem}.jpg", path.read_bytes()), (f"{path.stem}.{form}", label)]
        write_tar(out / f"{number:03}.tar", members)
    return out


def write_parquet(
    file: Path, photos: list[tuple[Path, str]], names: list[str] | None = None, **options: Any
) -> Path:
    """A table as Hugging Face writes it; classes by number if their `names` are given."""
    import pyarrow as pa
    from pyarrow import parquet

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path, _ in photos]
    labels = [names.index(name) if names else name for _, name in photos]
    table = pa.table({"image": pa.array(rows, image), "label": labels})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, **{"row_group_size": 10, **options})
    return file


def upload(folder: Path, address: str) -> str:
    """Copies a folder to an address."""
    import fsspec

    store, root = fsspec.core.url_to_fs(address)
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        store.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return address


def by_content(photos: Photos | None) -> dict[bytes, str]:
    """The class of each photo, by digest."""
    assert photos is not None
    return {photos.digest(at): photos.class_name(at) for at in range(len(photos))}


def parts(splits: Splits) -> list[dict[bytes, str]]:
    return [by_content(part) for part in (splits.train, splits.valid, splits.test)]
