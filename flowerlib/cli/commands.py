"""The command line: thin, and quick to answer; torch is loaded only by commands that need it."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

import flowerlib
from flowerlib.support import storage, tables
from flowerlib.support.console import flush, one_line, say
from flowerlib.support.errors import InputError
from flowerlib.support.options import (
    COUNT,
    HEADS,
    HIDDEN_HEAD,
    LAYERS,
    PRESETS,
    RESIZE_MODES,
    SEED,
    Setting,
    of_the_head,
)

GARDEN_KINDS = ("flowers", "pets", "furniture", "things", "patterns")

# How OpenMP's threads wait for the next operation: some microseconds awake (libgomp's count), then
# asleep. Awake for long, they take the cores from whoever works; asleep at once, they are late for
# small operations: the head of 6,552 photos takes 0.8 instead of 0.55 s.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def command() -> NoReturn:
    """`flowerlib` in a shell: `main`, and an end without Python's clean-up.

    That would run the destructors of torch's libraries, which takes half a second and 100 MB.
    """
    settle()
    code = main()
    with suppress(OSError, ValueError):  # nobody reads it any more; it is closed
        sys.stderr.flush()
    os._exit(code)


def settle() -> None:
    """Settings of a process that is ours alone; before torch is imported."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    if sys.stderr is None:  # closed: there is nobody to tell
        sys.stderr = open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):  # help and progress bars, too, in any code page
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _note


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning as a line for the user, without the line of code that it came from."""
    with suppress(InputError, OSError, ValueError):
        say(f"note: {message}", sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit code: 0, or 2 after one sentence on stderr about what was wrong with the input or
        the output; 1 where `check` found something serious, or `predict` left out photos that it
        names; 141, as of a process that SIGPIPE has ended, where the reader of the output is gone.
    """
    options = parser().parse_args(arguments)
    try:
        if sys.stdout is None:
            raise InputError(
                "standard output is closed; send it to a file, or to /dev/null (NUL on Windows)."
            )
        code = options.run(options)
        flush()
        return code
    except InputError as problem:
        _complain(str(problem))
        return 2
    except (ImportError, RuntimeError) as problem:
        from flowerlib.cli import doctor

        if not doctor.is_broken_installation(problem):
            raise
        _complain(doctor.import_problem(problem))
        return 2
    except KeyboardInterrupt:
        kept = "features computed so far are kept"
        if options.run is _train:
            kept += "; add --resume to go on"
        elif options.run is _download:
            kept = "what has arrived is kept; run the same again to go on"
        _complain(f"stopped; {kept}.")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        if options.run is _train:
            _complain("stopped, since nobody reads the output any more; features are kept.")
        return 141


def _complain(sentence: str) -> None:
    with suppress(InputError, OSError, ValueError):  # the exit code is all that is left to say
        say(f"flowerlib: {sentence}", sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="flowerlib", description="Transfer learning on your own photos, on a laptop."
    )
    top.add_argument("--version", action="version", version=f"flowerlib {flowerlib.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(run=run)
        return command

    train = add("train", _train, "train a classifier on a folder of photos")
    train.add_argument("data", metavar="DIR|flowers|garden", help="photos, one folder a class")
    train.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder for results")
    train.add_argument("--backbone", metavar="NAME", help="default: densenet121, or small_densenet")
    train.add_argument(
        "--weights", type=_word_or_path, metavar="imagenet|small|none|FILE", help="of the backbone"
    )
    train.add_argument("--preset", choices=tuple(PRESETS), default="standard")
    train.add_argument(
        "--resize-mode",
        choices=RESIZE_MODES,
        default="crop",
        help="crop shows only the middle of wide photos; squash and pad, all of them",
    )
    train.add_argument("--head", choices=HEADS, default="linear")
    train.add_argument(
        "--layers",
        choices=LAYERS,
        default="auto",
        help="what the head sees; auto: stages for linear and ridge",
    )
    for name, setting in HIDDEN_HEAD.items():
        train.add_argument(
            f"--{name.replace('_', '-')}",
            type=_number(setting),
            nargs="+" if name == "hidden" else None,
            metavar="N" if isinstance(setting.default, int) else "F",
            help=f"of the hidden head; default: {setting.default}",
        )
    train.add_argument("--split", choices=("udacity", "official"), help="of flowers; udacity")
    train.add_argument("--seed", type=_number(SEED), default=SEED.default, metavar="N")
    train.add_argument("--force", action="store_true", help="overwrite a finished run")
    train.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    train.add_argument("--no-cache", action="store_true", help="neither read nor write features")

    predict = add("predict", _predict, "say what is on photos")
    predict.add_argument("photos", nargs="+", type=_path, metavar="IMAGE|DIR")
    predict.add_argument("--top-k", type=_positive, metavar="K", help="default: 5")

    evaluate = add("evaluate", _evaluate, "measure a classifier on labelled photos")
    evaluate.add_argument("data", metavar="DIR", help="photos, one folder a class")
    evaluate.add_argument("--table", action="store_true", help="one line a photo, pass or FAIL")

    for command in (predict, evaluate):
        command.add_argument("--model", type=_path, required=True, metavar="FILE")
    forms = predict.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true")
    forms.add_argument("--csv", action="store_true")
    evaluate.add_argument("--json", action="store_true")
    for command in (train, predict, evaluate):
        command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
        command.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")

    check = add("check", _check, "look for broken photos, copies, uneven classes before training")
    check.add_argument("data", type=_path, metavar="DIR", help="photos, one folder a class")
    check.add_argument("--json", type=_path, metavar="FILE", help="write the whole report")
    check.add_argument("--manifest", type=_path, metavar="FILE", help="write every photo's SHA-256")
    check.add_argument("--against", type=_path, metavar="MANIFEST", help="report what has changed")
    check.add_argument("--examples", type=_positive, default=5, metavar="N", help="a section (5)")

    download = add("download", _download, "fetch a named data set, checked against its digest")
    download.add_argument("name", metavar="flowers|cifar10", help="goes on where it was stopped")
    old = add("import-old", _import_old, "turn an old torch.save checkpoint into a classifier file")
    old.add_argument("file", type=_path, metavar="FILE", help="nothing in it is run")
    old.add_argument("--out", type=_path, required=True, metavar="NEW.safetensors")
    old.add_argument("--backbone", metavar="NAME", help="if the file does not name its network")
    old.add_argument(
        "--weights",
        type=_word_or_path,
        metavar="imagenet|none|FILE",
        help="of the backbone, if the file holds only the classifier; imagenet",
    )
    old.add_argument(
        "--names", type=_path, metavar="FILE.json", help="class names, such as cat_to_name.json"
    )
    garden = add("garden", _garden, "draw a contact sheet of the offline world")
    garden.add_argument("--kind", choices=GARDEN_KINDS, default="flowers")
    garden.add_argument("--out", type=_path, required=True, metavar="FILE.png")
    garden.add_argument("--columns", type=_positive, default=12, metavar="N")
    garden.add_argument("--size", type=_positive, default=128, metavar="PIXELS")
    garden.add_argument("--seed", type=_number(SEED), default=SEED.default, metavar="N")
    add("doctor", _doctor, "say what is installed, which device, which data sets")
    return top


def _number(setting: Setting) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return setting.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {setting.told}") from None

    return read


_positive = _number(COUNT)


def _path(text: str) -> Path:
    """A path; `~` is expanded, which not every shell does."""
    try:
        return storage.expand(text)
    except InputError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _word_or_path(text: str) -> str:
    return str(_path(text)) if text.startswith("~") else text


def _train(options: argparse.Namespace) -> int:
    from flowerlib import data
    from flowerlib.cli import runs

    start = time.perf_counter()
    of_head = {name: getattr(options, name) for name in HIDDEN_HEAD}
    of_the_head(options.head, **of_head)  # refused before a photo is read
    backbone = options.backbone or ("small_densenet" if options.data == "garden" else "densenet121")
    with _Progress() as progress:
        found = runs.train(
            lambda: data.from_name(options.data, split=options.split),
            options.out,
            photos=data.folder_of(options.data),
            force=options.force,
            resume=options.resume,
            say=progress.say,
            backbone=backbone,
            weights=options.weights,
            head=options.head,
            layers=options.layers,
            **of_head,
            preset=options.preset,
            resize_mode=options.resize_mode,
            seed=options.seed,
            device=options.device,
            precision=options.precision,
            cache=not options.no_cache,
            report=_epochs() if sys.stderr.isatty() else None,
            progress=progress,
        )
    say(f"{found['seconds']['total']:.1f} s, {time.perf_counter() - start:.1f} s with start-up")
    say(
        f"written to {options.out}: try  flowerlib predict PHOTO --model "
        f"{options.out / 'classifier.safetensors'}"
    )
    return 0


def _epochs() -> Callable[[Any], None]:
    """A `train.Bar` that is made when the first epoch ends: until then torch is not needed."""
    bars: list[Any] = []

    def report(history: Any) -> None:
        from flowerlib import train

        if not bars:
            bars.append(train.Bar())
        bars[0](history)

    return report


class _Progress:
    """Tells how far a pass over photos is: a bar in a terminal, nothing elsewhere."""

    def __init__(self, what: str = "features") -> None:
        self.what = what
        self.bar: Any = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *problem: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(
                total=total, desc=self.what, unit="photo", leave=False, disable=None, miniters=1
            )
        if total != self.bar.total or done < self.bar.n:  # another pass has begun
            self.bar.reset(total)
        self.bar.update(done - self.bar.n)

    def say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        say(line)
        flush()


def _predict(options: argparse.Namespace) -> int:
    from flowerlib.data.decoding import images

    inside = [_photos_in(given) for given in options.photos]
    photos = [file for files in inside for file in files]
    if not photos:
        raise InputError(f"There is no photo below {', '.join(map(str, options.photos))}.")
    for given, files in zip(options.photos, inside, strict=True):
        if not files:
            _complain(f"{one_line(given)}: there is no photo in this folder.")
    # Not by Path's methods: they raise where a name is longer than the system allows.
    missing = [path for path in photos if not os.path.exists(path)]
    if len(missing) == len(photos):  # said before torch is loaded
        images.refuse([images.PhotoError(path, "there is no such file") for path in missing])
    from flowerlib.classifier import Classifier

    found = Classifier.load(options.model).predict(
        photos,
        options.top_k,
        unreadable="return",
        device=options.device,
        precision=options.precision,
    )
    answers = [answer for answer in found if not isinstance(answer, images.PhotoError)]
    problems = [answer for answer in found if isinstance(answer, images.PhotoError)]
    if not answers:
        images.refuse(problems)
    if options.json:
        say(json.dumps([_as_data(answer) for answer in found], indent=2))
    else:
        _say_answers(answers, options.csv)
    for problem in problems:
        _complain(one_line(problem))
    if problems:
        _complain(f"{len(problems)} of {len(photos)} photos left out.")
    return 1 if problems else 0


def _say_answers(answers: list[Any], as_csv: bool) -> None:
    if as_csv:
        say(_csv_line(["photo", "rank", "class", "probability"]))
    for answer in answers:
        rows = zip(answer.names, answer.probabilities, strict=True)
        if as_csv:
            for rank, (name, share) in enumerate(rows, 1):
                say(_csv_line([answer.photo, rank, name, f"{share:.6f}"]))
            continue
        say(one_line(answer.photo))
        for name, share in rows:
            say(f"  {share:6.1%}  {name}")


def _csv_line(cells: Sequence[object]) -> str:
    """One row of CSV without its line end, which is the output's own."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n")


def _photos_in(given: Path) -> list[Path]:
    """The photo itself, or all photos in a folder; what else is there is told on stderr."""
    from flowerlib.data.folders import listing

    if not os.path.isdir(given):
        return [given]
    found = listing.read(given)
    if problem := found.closed_problem():
        raise InputError(f"{given}: {problem}.")
    if line := found.counts().sentence():
        _complain(f"{one_line(given)}: {line}")
    return [Path(file) for file in found.folder.below()]


def _as_data(answer: Any) -> dict[str, Any]:
    """A prediction as JSON holds it, or the PhotoError that stands in its place."""
    if hasattr(answer, "reason"):
        return {"photo": str(answer.path), "error": answer.reason}
    top = zip(answer.names, answer.probabilities, strict=True)
    return {
        "photo": answer.photo,
        "top": [{"class": name, "probability": round(share, 6)} for name, share in top],
    }


def _evaluate(options: argparse.Namespace) -> int:
    from flowerlib import data, metrics
    from flowerlib.classifier import Classifier

    classifier = Classifier.load(options.model)
    photos, counts = data.labelled_photos(options.data, classifier.class_names)
    if line := counts.sentence():
        _complain(f"{one_line(options.data)}: {line}")
    found = classifier.evaluate(
        photos, device=options.device, precision=options.precision, name=one_line(options.data)
    )
    probabilities, answers = found.logits.softmax(1).max(1)
    rows = [
        {
            "photo": photos.name(index),
            "truth": photos.class_name(index),
            "answer": classifier.class_names[int(answers[index])],
            "probability": float(probabilities[index]),
            "verdict": "pass" if answers[index] == found.labels[index] else "FAIL",
            "learned": found.role(index),
        }
        for index in range(len(photos))
    ]
    if options.json:
        summary: dict[str, Any] = {
            "data": options.data,
            **found.to_dict(),
            "files": counts.to_dict(),
            "calibration_error": metrics.expected_calibration_error(
                found.logits.softmax(1), found.labels
            ),
            "seconds": round(found.seconds, 3),
        }
        if options.table:
            summary["photos"] = rows
        say(json.dumps(summary, indent=2))
        return 0
    if options.table:
        say(tables.table(rows).text())
        say("")
    say(str(found))
    return 0


def _check(options: argparse.Namespace) -> int:
    from flowerlib.audit import check, manifest

    with _Progress("checked") as progress:
        report = check.folder(options.data, against=options.against, progress=progress)
    if options.json:
        with storage.atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    if options.manifest:
        manifest.save(options.manifest, report.entries())
    say(report.text(options.examples))
    return 1 if report.serious else 0


def _download(options: argparse.Namespace) -> int:
    from flowerlib import data

    say(f"{options.name} is complete in {data.download(options.name)}")
    return 0


def _import_old(options: argparse.Namespace) -> int:
    if options.out.exists():
        raise InputError(f"{options.out} exists already; choose another name, or remove it.")
    from flowerlib.classifier import legacy

    imported = legacy.read(
        options.file, backbone=options.backbone, weights=options.weights, names=options.names
    )
    imported.classifier.save(options.out)
    say(f"{options.file}:")
    for line in imported.found:
        say(f"  {line}")
    say("not in the file, so assumed:")
    for line in imported.assumed:
        say(f"  {line}")
    say(f"written to {options.out}: try  flowerlib predict PHOTO --model {options.out}")
    return 0


def _garden(options: argparse.Namespace) -> int:
    from PIL import Image

    from flowerlib import garden

    sheet = garden.sheet(
        options.kind, columns=options.columns, size=options.size, seed=options.seed
    )
    with storage.atomic_path(options.out) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
    say(f"{options.out}: {sheet.shape[1]} x {sheet.shape[0]} pixels")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from flowerlib.cli import doctor

    rows, healthy = doctor.examine()
    say(tables.table(rows, columns=["what", "state"]).text())
    return 0 if healthy else 2


if __name__ == "__main__":
    command()
