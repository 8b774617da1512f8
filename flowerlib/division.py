"""Divide photos into train, valid and test where nobody has: by their content."""

from __future__ import annotations

from pathlib import Path

from flowerlib import images
from flowerlib.errors import InputError, listed
from flowerlib.files import Files


def divide(
    root: Path, classes: dict[str, Files], shares: dict[str, float]
) -> dict[str, dict[str, Files]]:
    """Divides each class by its photos' digests; what no share claims is train."""
    shares = {part: share for part, share in shares.items() if share > 0}
    parts: dict[str, dict[str, Files]] = {part: {} for part in ("train", *shares)}
    small = []
    for name, files in classes.items():
        copies: dict[bytes, list[int]] = {}  # a content → the files that have it
        for index in range(len(files)):  # not files.digest: when they are used, they may be others
            copies.setdefault(images.digest(files.text(index)), []).append(index)
        if len(copies) < len(parts):
            small.append(name)
            continue
        rest = sorted(copies)  # a digest is as good as a random number in [0, 1)
        high = 0.0
        for number, (part, share) in enumerate(shares.items(), 1):
            high += share
            chosen = sum(int.from_bytes(content[:8], "big") / 2**64 < high for content in rest)
            # A small class must not leave a split empty, nor use up the train photos.
            most = len(rest) - (len(shares) - number) - 1
            chosen = max(1, min(chosen, most))
            parts[part][name] = files.take([i for one in rest[:chosen] for i in copies[one]])
            rest = rest[chosen:]
        parts["train"][name] = files.take([i for one in rest for i in copies[one]])
    if small:
        raise InputError(
            f"{root}: {listed(small)} with fewer than {len(parts)} different photos; "
            "each split needs at least one."
        )
    return parts
