"""One training run from data to a folder of results: what `flowerlib train` does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from flowerlib import storage
from flowerlib.errors import InputError

RESULTS = "results.json"  # written last: a folder that holds it is a finished run
STATE = "training.pt"  # of an unfinished training; removed when it is finished


def prepare(out: Path, *, force: bool = False) -> None:
    """Makes the folder of a run, before anything is computed for it.

    Raises:
        InputError: it holds a finished run and `force` is not set, or cannot be written to.
    """
    if (out / RESULTS).exists() and not force:
        raise InputError(f"{out} holds a finished run; choose another folder or add --force.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"The folder {out} cannot be created ({problem.strerror}); choose another with --out."
        ) from None
    if not os.access(out, os.W_OK):
        raise InputError(f"The folder {out} cannot be written to; choose another with --out.")


def train(
    splits: Any,
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    say: Any = print,
    **options: Any,
) -> dict:
    """Trains on the splits, measures the test set once, and writes everything into a folder.

    Writes classifier.safetensors, history.csv, curves.png, confusion.png, sanity.png and, last,
    results.json.

    Args:
        splits: `data.Splits`.
        out: the folder.
        force: overwrite a finished run.
        resume: go on where a run into this folder was stopped; it ends with the same weights as
            if it had not been. Without it, what was left is removed.
        say: called with each line for the user.
        options: for `train.transfer`.

    Returns:
        What results.json holds. Accuracies are fractions in [0, 1], seconds are wall time.

    Raises:
        InputError: something given cannot be used.
    """
    import torch

    from flowerlib import check, metrics
    from flowerlib import train as training

    prepare(out, force=force)
    start = time.perf_counter()
    say(splits.describe())
    state = out / STATE
    if not resume:
        state.unlink(missing_ok=True)
    elif not state.exists():
        say(f"nothing to resume in {out}: trained from the start, with the features that are kept")
    classifier = training.transfer(splits, checkpoint=state, **options)
    for sentence in check.leaks(splits):
        say(f"note: {sentence}")
    results = classifier.results
    seconds: dict[str, float] = dict(results["seconds"])
    say(
        f"backbone {classifier.backbone.name} · {classifier.backbone.weights} weights · "
        f"{results['device']}, {results['precision']}"
    )
    say(f"valid accuracy {results['valid']['accuracy']:.4f}")
    test: dict[str, Any] = {"accuracy": None, "interval": None}
    judged = splits.test if splits.test is not None else splits.valid
    evaluation = classifier.evaluate(
        judged,
        device=options.get("device", "auto"),
        precision=options.get("precision", "auto"),
        cache=options.get("cache", True),
    )
    if splits.test is not None:
        test = {"accuracy": evaluation.accuracy, "interval": list(evaluation.interval)}
        test["top5"] = metrics.top_k_accuracy(evaluation.logits, evaluation.labels)
        say(f"test {evaluation}")
    else:
        say("no test set: only valid accuracy is known")
    seconds["test"] = evaluation.seconds
    from flowerlib import plots  # matplotlib: not beside the batches of photos

    drawing = time.perf_counter()
    classifier.results = {**results, "test": test}
    (out / RESULTS).unlink(missing_ok=True)  # from here on, not the old run any more
    classifier.save(out / "classifier.safetensors")
    classifier.history.save(out / "history.csv")
    plots.save(plots.curves(classifier.history), out / "curves.png")
    matrix = metrics.confusion(evaluation.logits, evaluation.labels)
    plots.save(plots.confusion(matrix, splits.class_names), out / "confusion.png")
    shown = len(judged) // 2
    logits, few = evaluation.logits[shown], min(5, len(splits.class_names))
    answer = classifier.answer(judged.name(shown), logits, few)
    picture = plots.photo_and_bars(judged.image(shown), answer, judged.class_name(shown))
    plots.save(picture, out / "sanity.png")
    seconds["files"] = time.perf_counter() - drawing
    seconds["total"] = time.perf_counter() - start
    computed = results["features_computed"]
    found = {
        "data": splits.name,
        "world": splits.world,
        "origin": splits.origin,
        "backbone": classifier.backbone.name,
        "weights": classifier.backbone.weights,
        "preprocessing": classifier.preprocessing.to_dict(),
        "head": results["head"],
        "num_classes": len(splits.class_names),
        "num_images": splits.sizes(),
        "valid": results["valid"],
        "test": test,
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "images_per_second": round(computed / seconds["features"], 1) if computed else None,
        "device": results["device"],
        "precision": results["precision"],
        "versions": versions(),
        "seed": results["seed"],
        "threads": torch.get_num_threads(),
    }
    with storage.atomic_path(out / RESULTS) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    state.unlink(missing_ok=True)
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    import importlib.metadata
    import platform

    found = {"python": platform.python_version()}
    for name in ("flowerlib", "torch", "torchvision", "numpy", "pillow", "safetensors"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
