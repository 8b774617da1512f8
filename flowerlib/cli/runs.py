"""One training run from data to a folder of results: what `flowerlib train` does."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowerlib.cli.config import NAME as CONFIG
from flowerlib.cli.run_folder import RESULTS, STATE, reserved
from flowerlib.support import distributed, storage, torchrun
from flowerlib.support.console import one_line
from flowerlib.support.errors import InputError, plural

if TYPE_CHECKING:
    from torch import Tensor

    from flowerlib.classifier import Classifier
    from flowerlib.data import Photos, Splits


def train(
    splits: Splits | Callable[[], Splits],
    out: Path,
    *,
    photos: Path | None = None,
    force: bool = False,
    resume: bool = False,
    say: Callable[[str], object] = print,
    config: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Trains on the splits, measures the test set once, and writes everything into a folder.

    The files are those of `run_folder.FILES`, results.json last.

    Args:
        splits: the photos, or a function that reads them; it is called when `out` is known to be
            of use.
        out: the folder; one run at a time writes into it.
        photos: the folder that photos are read from, in which `out` may not lie.
        force: overwrite a run, finished or stopped.
        resume: go on where a run into this folder was stopped; it ends with the same weights as
            if it had not been.
        say: called with each line for the user.
        config: text of a config.toml that repeats the run; written beside the results.
        options: for `train.transfer`.

    Returns:
        What results.json holds. Accuracies are fractions in [0, 1], seconds are wall time. Of
        several processes, the main one writes and returns it; the others return nothing.

    Raises:
        InputError: something given cannot be used, another run is writing into the folder, or one
            was stopped there and neither `resume` nor `force` is set.
    """
    alone = contextlib.nullcontext()  # the main process writes for all
    with reserved(out, force=force, photos=photos) if distributed.is_main() else alone:
        if not (force or resume or torchrun.restarted()):
            distributed.from_main(lambda: _refuse_stopped(out))
        given = distributed.from_main(splits) if callable(splits) else splits
        return _train(given, out, resume=resume, say=say, config=config, **options)


def _refuse_stopped(out: Path) -> None:
    if (out / STATE).exists():
        raise InputError(
            f"{out} holds a run that was stopped; add --resume to go on with it, or --force to "
            "start over."
        )


def _train(
    splits: Splits,
    out: Path,
    *,
    resume: bool,
    say: Callable[[str], object],
    config: str | None,
    **options: Any,
) -> dict[str, Any]:
    from flowerlib import train as training

    start = time.perf_counter()
    main = distributed.is_main()
    say = say if main else lambda line: None
    _report_input(splits, options, say)
    state = out / STATE
    if not (resume or torchrun.restarted()):
        if main:
            state.unlink(missing_ok=True)
    elif not state.exists():
        say(f"nothing to resume in {out}: trained from the start, with the cached features")
    classifier = training.transfer(splits, checkpoint=state, **options)
    _report_training(classifier, splits, say)
    judged = _judge(classifier, splits, options, say)
    if not main:
        return {}
    drawing = time.perf_counter()
    classifier.results = {**classifier.results, "test": judged.test}
    (out / RESULTS).unlink(missing_ok=True)  # from here on, not the old run any more
    _write_files(classifier, judged, out, config)
    seconds = {
        **classifier.results["seconds"],
        "test": judged.seconds,
        "files": time.perf_counter() - drawing,
        "total": time.perf_counter() - start,
    }
    found = _summary(classifier, splits, seconds)
    with storage.atomic_path(out / RESULTS) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    state.unlink(missing_ok=True)
    return found


def _report_input(splits: Splits, options: dict[str, Any], say: Callable[[str], object]) -> None:
    """Says which network with which weights, which photos, and what was noticed about them."""
    from flowerlib import models

    if isinstance(name := options.get("backbone"), str):
        say(f"backbone {name} · {models.weights_origin(name, options.get('weights'))}")
    say(splits.describe())
    if splits.files is not None and (line := splits.files.sentence()):
        say(line)
    for note in splits.notes:
        say(one_line(f"note: {note}"))


def _report_training(classifier: Classifier, splits: Splits, say: Callable[[str], object]) -> None:
    """Says what is odd about the photos, what was computed where, and how good it is on valid."""
    from flowerlib import audit, metrics
    from flowerlib.data import depth

    parts = [part for part in (splits.train, splits.valid, splits.test) if part is not None]
    for sentence in audit.leaks(splits) + depth.dark(parts) if distributed.is_main() else ():
        say(one_line(f"note: {sentence}"))
    results = classifier.results
    say(
        f"{classifier.backbone.layers.replace('last', 'last-layer')} features of "
        f"{classifier.backbone.name} · {results['device']}, {results['precision']}"
    )
    if "difference" in (tuning := results["fine_tuning"]):
        gain, low, high = tuning["difference"]
        say(
            f"fine-tuning changed accuracy on valid by {gain:+.3f} "
            f"(95 % interval {low:+.3f} to {high:+.3f}), from {tuning['frozen_valid_accuracy']:.3f}"
        )
    valid = results["valid"]
    right = round(valid["accuracy"] * valid["num_images"])
    say(
        metrics.format_accuracy(right, valid["num_images"], "valid")
        + f", on which {_chosen(classifier)}"
        + ", before the head learned from them, too" * valid["trained_on_it_afterwards"]
    )


def _chosen(classifier: Classifier) -> str:
    """What was chosen on valid, such as "the penalty 1e-07 was chosen"."""
    history, results = classifier.history, classifier.results
    assert history is not None and history.best is not None  # it was trained in this process
    values = {**results["head"], **history.best}
    names = results["valid"]["chosen_on_it"].split(" and ")
    said = " and ".join(f"the {name} {values[name]:g}" for name in names)
    return f"{said} {plural(len(names), 'was', 'were')} chosen"


@dataclasses.dataclass
class _Judgment:
    """What the figures show: the test set, or valid where there is none.

    Attributes:
        photos, name: the set, and how titles call it.
        logits: (N, C).
        labels: (N,).
        test: what results.json says of the test set.
        seconds: that the test set took.
    """

    photos: Photos
    name: str
    logits: Tensor
    labels: Tensor
    test: dict[str, Any]
    seconds: float


def _judge(
    classifier: Classifier, splits: Splits, options: dict[str, Any], say: Callable[[str], object]
) -> _Judgment:
    """Answers for the test set, once."""
    import torch

    if splits.test is not None:
        computing = ("device", "precision", "cache", "progress")
        given = {key: options[key] for key in computing if key in options}
        found = classifier.evaluate(splits.test, name="test", **given)
        say(str(found))
        test = {**found.to_dict(), **_top5(found.logits, found.labels)}
        return _Judgment(splits.test, "test", found.logits, found.labels, test, found.seconds)
    say("no test set: only valid accuracy is known, and the figures are of valid")
    assert classifier.valid_logits is not None  # it was trained in this process
    name = f"valid, on which {_chosen(classifier)}"
    labels = torch.from_numpy(splits.valid.labels)
    test = {"set": "test", "num_images": 0, "accuracy": None, "interval": None}
    return _Judgment(splits.valid, name, classifier.valid_logits, labels, test, 0.0)


def _write_files(classifier: Classifier, judged: _Judgment, out: Path, config: str | None) -> None:
    """Everything but results.json."""
    from flowerlib import metrics, plots  # matplotlib: not beside the batches of photos

    assert classifier.history is not None  # it was trained in this process
    if config is not None:
        with storage.atomic_path(out / CONFIG) as temporary:
            temporary.write_text(config, encoding="utf-8")
    classifier.save(out / "classifier.safetensors")
    classifier.history.save(out / "history.csv")
    plots.save(plots.curves(classifier.history), out / "curves.png")
    matrix = metrics.confusion(judged.logits, judged.labels)
    plots.save(plots.confusion(matrix, classifier.class_names, judged.name), out / "confusion.png")
    photos = judged.photos
    shown, few = len(photos) // 2, min(5, len(classifier.class_names))
    answer = classifier.answer(photos.name(shown), judged.logits[shown], few)
    picture = plots.photo_and_bars(photos.image(shown), answer, photos.class_name(shown))
    plots.save(picture, out / "sanity.png")


def _summary(classifier: Classifier, splits: Splits, seconds: dict[str, float]) -> dict[str, Any]:
    """What results.json holds."""
    import torch

    results, backbone = classifier.results, classifier.backbone
    computed = results["features_computed"]
    return {
        "data": splits.name,
        "pictures": splits.pictures,
        "origin": splits.origin,
        "backbone": backbone.name,
        "weights": backbone.weights,
        "layers": backbone.layers,
        "preprocessing": classifier.preprocessing.to_dict(),
        "head": results["head"],
        "fine_tuning": results["fine_tuning"],
        "num_classes": len(splits.class_names),
        "num_images": splits.sizes(),
        "files": splits.files.to_dict() if splits.files is not None else None,
        "valid": results["valid"],
        "test": results["test"],
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "images_per_second": round(computed / seconds["features"], 1) if computed else None,
        "device": results["device"],
        "precision": results["precision"],
        "versions": versions(),
        "seed": results["seed"],
        "threads": torch.get_num_threads(),
    }


def _top5(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """How often the label is among the five best, with its interval."""
    from flowerlib import metrics

    share = metrics.top_k_accuracy(logits, labels)
    right = round(share * len(labels))
    return {"top5": share, "top5_interval": list(metrics.wilson_interval(right, len(labels)))}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    import importlib.metadata
    import platform

    found = {"python": platform.python_version()}
    for name in "flowerlib torch torchvision timm numpy onnxruntime pillow safetensors".split():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
