"""Answers for any number of photos, in one table on disk: CSV or Parquet.

The table is made in parts, so memory does not grow with the photos, a run that was killed goes on
where it was, and several processes each make their share. Parts lie in a folder beside the table
until all of them are there and are joined.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flowerlib.classifier.classifier import Classifier
from flowerlib.classifier.prediction import Prediction, how_many
from flowerlib.data import Photos
from flowerlib.data.decoding.images import PhotoError
from flowerlib.support import distributed, storage
from flowerlib.support.errors import InputError

if TYPE_CHECKING:
    import pyarrow

PART = 512  # photos; what a killed process loses at most
COLUMNS = ("photo", "rank", "class", "probability", "error")
PLAN = "plan.json"

Row = tuple[str, int | None, str | None, float | None, str | None]


def write_answers(
    classifier: Classifier,
    photos: Iterable[str | os.PathLike[str]] | Photos,
    out: Path | str,
    *,
    top_k: int = 1,
    device: str = "auto",
    precision: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes what is on each photo into a table; goes on where an earlier call was stopped.

    Columns: photo (its path or name), rank (from 1), class, probability (in [0, 1]), error. A photo
    has `top_k` rows, or a single one with the reason under "error" if it cannot be read.

    Args:
        classifier: whose answers they are.
        photos: paths, or `Photos`, whose labels do not matter.
        out: ends in .csv, or in .parquet, which needs pyarrow. It appears when all is done; until
            then, parts lie in a folder beside it, named like it with ".parts" at the end.
        top_k: how many classes to name for each photo.
        device, precision: as in `features.extract`.
        progress: called with (photos done, photos in all).

    Returns:
        How many photos cannot be read.

    Raises:
        InputError: `out` exists, has another ending or cannot be written; beside it lie parts with
            other photos or of another classifier; there is no photo.
    """
    if isinstance(photos, (str, os.PathLike)):
        raise InputError(f"Photos were given the one path {photos!r:.80}; give a list of paths.")
    out = storage.expand(out)
    given = photos if isinstance(photos, Photos) else [os.fspath(photo) for photo in photos]
    names = _names(given)
    if not names:
        raise InputError("There is no photo to look at.")
    top_k = how_many(top_k, len(classifier.class_names))
    form = _form(out)
    if out.exists():
        raise InputError(f"{out} exists already; choose another name, or remove it.")
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}; make it, or choose another.")
    folder = out.with_name(f"{out.name}.parts")
    distributed.from_main(lambda: _begin(folder, _plan(classifier, names, top_k, precision)))
    ranges = [range(at, min(at + PART, len(names))) for at in range(0, len(names), PART)]
    parts = [folder / f"{number:06}{out.suffix}" for number in range(len(ranges))]
    together = isinstance(given, Photos) and given.contents.in_groups

    def make() -> None:
        for number in distributed.share(len(parts), together=together):
            if not parts[number].exists():
                rows = ranges[number]
                if isinstance(given, Photos):
                    some: list[str] | Photos = given.subset(rows)
                else:
                    some = [given[at] for at in rows]
                answers = classifier.predict(
                    some, top_k, unreadable="return", device=device, precision=precision
                )
                with storage.atomic_path(parts[number]) as temporary:
                    form.write(temporary, _rows([names[at] for at in rows], answers))
            if progress:
                done = PART * sum(1 for _ in folder.glob(f"??????{out.suffix}"))
                progress(min(done, len(names)), len(names))

    distributed.from_each(make)
    return distributed.from_main(lambda: _join(form, parts, out))


def _names(photos: list[str] | Photos) -> list[str]:
    return [*map(photos.name, range(len(photos)))] if isinstance(photos, Photos) else photos


def _plan(
    classifier: Classifier, photos: Sequence[str], top_k: int, precision: str
) -> dict[str, object]:
    """What every part depends on."""
    weights = hashlib.sha256(classifier.backbone.digest().encode())
    for value in classifier.head.state_dict().values():
        weights.update(value.contiguous().numpy().tobytes())
    return {
        "classifier": weights.hexdigest(),
        "class_names": list(classifier.class_names),
        "preprocessing": classifier.preprocessing.to_dict(),
        "photos": _digest(photos),
        "part": PART,
        "top_k": top_k,
        "precision": precision,
    }


def _digest(photos: Iterable[str]) -> str:
    """Changes with the names of photos, and with the files that they are or lie in."""
    files = hashlib.sha256()
    known = functools.lru_cache(_state)  # thousands lie in one shard, folder or table
    for photo in photos:
        around = os.path.dirname(photo), photo.rpartition("#")[0]
        state = known(around[0]) or _state(photo) or known(around[1])
        files.update(f"{photo}\0{state or 'missing'}\0".encode("utf-8", "surrogatepass"))
    return files.hexdigest()


def _state(place: str) -> str:
    """Changes with a file, be it a photo, or a shard or table that photos lie in; "" for others."""
    if not os.path.isfile(place):
        return ""
    found = os.stat(place)
    return f"{os.path.abspath(place)} {found.st_size} {found.st_mtime_ns}"


def _begin(folder: Path, plan: dict[str, object]) -> None:
    """Makes the parts' folder, or finds that of an earlier call with the same plan."""
    try:
        folder.mkdir(exist_ok=True)
        text = (folder / PLAN).read_text(encoding="utf-8") if (folder / PLAN).exists() else ""
    except OSError as problem:
        raise InputError(f"{folder} cannot be used ({problem.strerror}).") from None
    if not text:
        with storage.atomic_path(folder / PLAN) as temporary:
            temporary.write_text(json.dumps(plan), encoding="utf-8")
    elif text != json.dumps(plan):
        raise InputError(
            f"{folder} holds parts for other photos, or of another model or other options, or for "
            "photos that have changed since; remove it, or choose another name for the table."
        )


def _rows(photos: Sequence[str], answers: Iterable[Prediction | PhotoError]) -> Iterator[Row]:
    for given, answer in zip(photos, answers, strict=True):
        photo = given.encode("utf-8", "backslashreplace").decode()  # names need not be UTF-8
        if isinstance(answer, PhotoError):
            yield photo, None, None, None, answer.reason
            continue
        top = zip(answer.names, answer.probabilities, strict=True)
        for rank, (name, probability) in enumerate(top, 1):
            yield photo, rank, name, probability, None


def _join(form: Form, parts: Sequence[Path], out: Path) -> int:
    """Puts the parts into one table and removes them; counts the photos that cannot be read."""
    if missing := [part.name for part in parts if not part.exists()]:
        raise InputError(
            f"{parts[0].parent} lacks {missing[0]}; all processes must see the same folder, so "
            "choose one on a shared disk."
        )
    with storage.atomic_path(out) as temporary:
        problems = form.join(temporary, parts)
    folder = parts[0].parent
    for file in (*parts, folder / PLAN, *folder.glob(".*.part")):  # the last of killed processes
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's file is in it
        folder.rmdir()
    return problems


class Form(NamedTuple):
    """A format of tables.

    Attributes:
        write: writes a part.
        join: writes all parts into one file; counts the rows with an error.
    """

    write: Callable[[Path, Iterable[Row]], None]
    join: Callable[[Path, Sequence[Path]], int]


def _form(out: Path) -> Form:
    """Comma-separated values with a header, or Apache Parquet, one group of rows a part."""
    ending = out.suffix.lower()
    if ending == ".csv":
        return Form(_write_csv, _join_csv)
    if ending != ".parquet":
        raise InputError(f"{out} must end in .csv or .parquet.")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise InputError(
            "Parquet needs the package pyarrow, which is not installed; pip install "
            "'flowerlib[scale]', or choose a name that ends in .csv."
        ) from None
    return Form(_write_parquet, _join_parquet)


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        for photo, rank, name, probability, error in rows:
            share = "" if probability is None else f"{probability:.6f}"
            file.write(_line([photo, rank, name, share, error]))


def _join_csv(path: Path, parts: Sequence[Path]) -> int:
    problems = 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(_line(COLUMNS))
        for part in parts:
            with open(part, newline="", encoding="utf-8") as source:
                for row in csv.reader(source):
                    problems += bool(row[-1])
                    file.write(_line(row))
    return problems


def _line(cells: Sequence[object]) -> str:
    """A line of CSV; a writer whose lines end in "\\n" alone would put no quotes around "\\r"."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _schema() -> pyarrow.Schema:
    import pyarrow as pa

    kinds = (pa.string(), pa.int32(), pa.string(), pa.float32(), pa.string())
    return pa.schema(list(zip(COLUMNS, kinds, strict=True)))


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(pa.table(columns, schema=_schema()), path)


def _join_parquet(path: Path, parts: Sequence[Path]) -> int:
    from pyarrow import parquet

    problems = 0
    with parquet.ParquetWriter(path, _schema()) as writer:
        for part in parts:
            table = parquet.read_table(part)
            problems += len(table) - table.column("error").null_count
            writer.write_table(table)
    return problems
