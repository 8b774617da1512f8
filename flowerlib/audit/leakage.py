"""Photos in two splits, which flatter an accuracy, or in two classes, whose labels conflict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.splitting import copies, thumbnails

if TYPE_CHECKING:
    from PIL import Image

    from flowerlib.data import Splits


def leaks(splits: Splits) -> list[str]:
    """Sentences about photos in two splits, or in two classes, with the same content or nearly so.

    Near copies are looked for in real photos, not in drawn ones. Quick where the features are
    computed anyway: the digests are needed for them, too, and near copies are remembered.

    Raises:
        InputError: files cannot be read.
    """
    from flowerlib.data import Splits  # which needs torch

    splits = Splits.expected(splits, "leaks")
    parts = [part for part in (splits.train, splits.valid, splits.test) if part is not None]
    starts = np.cumsum([0, *map(len, parts)])
    place = np.repeat(np.arange(len(parts)), np.diff(starts))
    labels = np.concatenate([part.labels for part in parts])
    digests = np.concatenate([part.digests() for part in parts])
    contents, first, content = np.unique(digests, return_index=True, return_inverse=True)

    def name(at: int) -> str:
        return parts[place[at]].name(at - starts[place[at]])

    def shrunk(position: int) -> Image.Image:
        at = first[position]
        return parts[place[at]].contents.sketch(int(at - starts[place[at]]), copies.SIDE)

    same = np.stack([first[content], np.arange(len(content))], 1)
    order = np.concatenate([part.contents.order() for part in parts])[first]
    photos = splits.pictures == "photos"
    pairs = thumbnails.near_copies(contents, shrunk, order) if photos else []
    alike = [sorted((first[pair.first], first[pair.second])) for pair in pairs]
    sentences = []
    for where, what, harm in (
        (place, "splits", "accuracies will flatter"),
        (labels, "classes", "their labels conflict"),
    ):
        for both, one, many in (
            (same, "1 photo lies", "photos lie"),
            (
                np.array(alike, int).reshape(-1, 2),
                "1 pair of near copies lies",
                "pairs of near copies lie",
            ),
        ):
            apart = both[where[both[:, 0]] != where[both[:, 1]]]
            if count := len(np.unique(content[apart], axis=0)):
                said = one if count == 1 else f"{count:,} {many}"
                sentences.append(
                    f"{said} in two {what}, such as {name(apart[0, 0])} and {name(apart[0, 1])}: "
                    f"{harm}; `flowerlib check` lists them all, keep each in one place."
                )
    return sentences
