"""Notice pictures that hold fewer bits than their files could: they are read almost black.

Microscopes, X-ray and industrial cameras write 10 to 14 bits into files of 16, most of which do not
say so. A dark picture looks the same to a program, so nothing is guessed: it is reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowerlib.data.decoding import images
from flowerlib.support.errors import plural

if TYPE_CHECKING:
    from flowerlib.data.photos import Photos

LOOKED_AT = 64  # photos: those of one data set come from one camera
# Endings of files that can have 16 bits.
DEEP = (".png", ".apng", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".pfm")
KIND = "uses at most a quarter of its range of values, read almost black"


def dark(parts: Sequence[Photos]) -> list[str]:
    """A sentence, if some of the photos use a small part of their range, or none.

    At most `LOOKED_AT` of them are decoded; unreadable ones are reported elsewhere.
    """
    photos = [
        (part.contents, at)
        for part in parts
        for at in range(len(part))
        if part.name(at).lower().endswith(DEEP)
    ]
    count = min(LOOKED_AT, len(photos))
    chosen = np.linspace(0, len(photos) - 1, count).astype(int)
    found = []
    for contents, at in (photos[number] for number in chosen):
        with contextlib.suppress(images.PhotoError):
            name, content = contents.name(at), contents.content(at)
            if content is not None and (facts := images.open_with_facts(content, name)[1]).dim:
                found.append((name, facts.used))
    if not found:
        return []
    name, used = found[0]
    return [
        f"{len(found)} of {len(chosen)} {plural(len(chosen), 'photo')} looked at "
        f"{plural(len(found), 'is', 'are')} read almost black, such as {name}: "
        f"its largest value is {used:.1%} of the largest that its format can hold. If fewer bits "
        "were written, such as 12 into a file of 16, save the photos with their values scaled to "
        "the full range, or state 4095 as a TIFF's MaxSampleValue; then train again."
    ]
