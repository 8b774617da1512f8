"""Photos divided into a training, a validation and a test set, with what is known about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from flowerlib.data import labeling
from flowerlib.data.file_counts import FileCounts
from flowerlib.data.photos import Photos
from flowerlib.support.errors import InputError, listed


@dataclass(frozen=True, repr=False)
class Splits:
    """The three parts of a data set, with what is known about it.

    Each part has the same class names. One that has them in another order is taken by name: its
    labels become positions in `class_names`.

    Attributes:
        train, valid: to learn from; to choose with.
        test: to measure with, once; None if the set has none.
        class_names: in the order of the labels.
        name: of the set, such as "flowers" or the folder's name.
        pictures: "drawn" (by this project) or "photos".
        origin: one phrase about where the pictures come from.
        files: how many files below the folder are used, and how many of which kind are not; None
            for drawn pictures.
        notes: sentences about how the folder was read that its owner should know.

    Raises:
        InputError: the parts have different classes, or two classes have the same name.
    """

    train: Photos
    valid: Photos
    test: Photos | None
    class_names: tuple[str, ...]
    name: str
    pictures: str
    origin: str
    files: FileCounts | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = tuple(self.class_names)
        object.__setattr__(self, "class_names", names)
        try:  # now, not when a trained classifier cannot be saved
            labeling.check_class_names(names)
        except ValueError as problem:
            raise InputError(f"Splits need other class names: {problem}.") from None
        for part in ("train", "valid", "test"):
            photos = getattr(self, part)
            if photos is None or photos.class_names == names:
                continue
            if lacking := sorted(set(names) - set(photos.class_names)):
                fault = f"lacks {listed(lacking)}"
            elif unknown := sorted(set(photos.class_names) - set(names)):
                fault = f"has {listed(unknown)}, which class_names lacks"
            else:
                object.__setattr__(self, part, photos.in_order(names))
                continue
            raise InputError(
                f"{part} {fault}: every split needs the same classes, or labels would shift; "
                "Photos.of_classes takes those that are wanted."
            )

    def __repr__(self) -> str:
        return f"<Splits: {self.describe()}>"

    @property
    def data_kind(self) -> str:
        """How texts name it: "drawn data" or "photos"."""
        return "drawn data" if self.pictures == "drawn" else "photos"

    def describe(self) -> str:
        """One line: drawn data or photos, which set, how many classes and pictures."""
        test = f"{len(self.test):,} test" if self.test is not None else "no test set"
        return (
            f"{self.data_kind} · {self.name} ({self.origin}) · {len(self.class_names)} classes · "
            f"{len(self.train):,} train, {len(self.valid):,} valid, {test}"
        )

    def sizes(self) -> dict[str, int]:
        """Number of pictures in each split; 0 where there is no test set."""
        test = 0 if self.test is None else len(self.test)
        return {"train": len(self.train), "valid": len(self.valid), "test": test}

    def per_class(self, counts: tuple[int, int, int], seed: int = 0) -> Splits:
        """The same splits with at most so many pictures of each class in train, valid and test."""
        train, valid, test = counts
        return dataclasses.replace(
            self,
            train=self.train.per_class(train, seed),
            valid=self.valid.per_class(valid, seed),
            test=None if self.test is None else self.test.per_class(test, seed),
        )

    @classmethod
    def expected(cls, given: object, by: str) -> Splits:
        """What was given, if it is `Splits`.

        Args:
            given: an argument of a public function.
            by: what messages call that function.

        Raises:
            InputError: it is something else; the message says what to give.
        """
        if isinstance(given, cls):
            return given
        kind, example = type(given).__name__, 'data.image_folder("photos")'
        raise InputError(f"{by} was given {given!r:.40} ({kind}); give Splits, such as {example}.")

    def of_classes(self, names: Sequence[str]) -> Splits:
        """The same splits with only the classes in `names`; labels count in their order."""
        return dataclasses.replace(
            self,
            train=self.train.of_classes(names),
            valid=self.valid.of_classes(names),
            test=None if self.test is None else self.test.of_classes(names),
            class_names=tuple(names),
        )
