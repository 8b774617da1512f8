"""Our linear heads beside scikit-learn's cross-validated logistic regression, same features.

Both choose among five penalties: ours on the validation set, scikit-learn by cross-validation on
the training set, as its users do. Each run is a fresh process that times the solver alone.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import paired, processes

FOLDS = (5, 3)  # the first that ends within the limit is measured
LIMIT = 900  # seconds of a run of scikit-learn
BACKBONE = "mobilenet_v2"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # its C, for standardized features


def measure(shared: Path, weights: Path) -> dict:
    """The penalty sweep against scikit-learn, which runs once; the ridge sweep where there is one.

    Args:
        shared: holds flowers/.
        weights: of mobilenet_v2.
    """
    from flowerlib import solvers

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "features.npz"))
        size = prepare_file(shared, weights, file)
        names = [name for name in ("logistic", "ridge") if hasattr(solvers, name)]

        def block() -> dict:
            found = paired.compare(
                partial(processes.call, sweep, file=file, solver="logistic"),
                partial(cross_validate, file),
                names=("flowerlib logistic", "LogisticRegressionCV"),
                once=True,
            )
            for name in names[1:]:
                side = partial(processes.call, sweep, file=file, solver=name)
                rows = [side() for _ in range(1 if paired.dry() else paired.PAIRS)]
                seconds = [row["seconds"] for row in rows]
                found[f"flowerlib {name}"] = {
                    "median_seconds": round(float(np.median(seconds)), 3),
                    "runs": rows,
                }
            return found

        found = paired.steady(block, tries=1)  # a run of scikit-learn takes minutes
    test = {
        name: side["runs"][0]["test_accuracy"]
        for name, side in found.items()
        if isinstance(side, dict) and "runs" in side
    }
    return {"features": size, "test_accuracy": test, **found}


def cross_validate(file: str) -> dict:
    """scikit-learn's run; with fewer folds where more take longer than the limit."""
    attempts = []
    for folds in FOLDS:
        try:
            found = processes.call(scikit_learn, file=file, folds=folds, limit=LIMIT)
        except processes.OverLimit as problem:
            attempts.append(f"{folds} folds: {problem}")
            print(f"  scikit-learn with {attempts[-1]}", flush=True)
        else:
            return {**found, "ended_early": attempts}
    raise SystemExit(f"scikit-learn did not end: {'; '.join(attempts)}")


def prepare_file(shared: Path, weights: Path, file: str, layers: str = "last") -> dict:
    """`prepare` in a process of its own, with the usual cache; for a dry run 6 photos a class."""
    print("  features of all flowers, from the cache or in about a minute", flush=True)
    return processes.call(
        prepare,
        folder=str(shared / "flowers"),
        name=BACKBONE,
        weights=str(weights),
        layers=layers,
        out=file,
        per_class=6 if paired.dry() else 0,
    )


def prepare(folder: str, name: str, weights: str, layers: str, out: str, per_class: int) -> dict:
    """Writes features and labels of train, valid and test into one file; returns their sizes."""
    from flowerlib import data, features, models

    splits = data.image_folder(folder)
    backbone = models.backbone(name, weights, layers=layers)
    preprocessing = models.default_preprocessing(backbone)
    arrays = {}
    for part, every in (("train", splits.train), ("valid", splits.valid), ("test", splits.test)):
        photos = every.per_class(per_class) if per_class else every
        found = features.extract(backbone, photos, preprocessing)
        arrays |= {part: found.values.numpy(), f"{part}_labels": found.labels.numpy()}
    np.savez(out, **arrays)
    sizes = {part: len(arrays[part]) for part in ("train", "valid", "test")}
    return {**sizes, "width": backbone.num_features, "classes": len(splits.class_names)}


def sweep(file: str, solver: str) -> dict:
    """Our sweep over the penalties: seconds, test accuracy, the penalty that valid chose."""
    import torch

    from flowerlib import metrics, solvers

    given = {name: torch.from_numpy(value) for name, value in np.load(file).items()}
    classes = int(given["train_labels"].max()) + 1
    start = time.perf_counter()
    solution = getattr(solvers, solver)(
        given["train"], given["train_labels"], given["valid"], given["valid_labels"], classes
    )
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        accuracy = metrics.accuracy(solution.head(given["test"]), given["test_labels"])
    return {
        "seconds": seconds,
        "test_accuracy": accuracy,
        "penalty": solution.penalty,
        "penalties": len(solution.rows),
    }


def scikit_learn(file: str, folds: int) -> dict:
    """LogisticRegressionCV on standardized features, every processor core, to convergence."""
    import warnings

    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore", FutureWarning)
    given = np.load(file)
    search = LogisticRegressionCV(Cs=STRENGTHS, cv=folds, max_iter=1000, n_jobs=-1)
    model = make_pipeline(StandardScaler(), search)
    train, labels = given["train"], given["train_labels"]
    start = time.perf_counter()
    model.fit(train, labels)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "test_accuracy": float(model.score(given["test"], given["test_labels"])),
        "C": float(np.ravel(search.C_)[0]),
        "Cs": STRENGTHS,
        "folds": folds,
        "precision": str(train.dtype),
    }
