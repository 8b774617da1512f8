"""Which photos a classifier learned from, so that it is not judged by them unawares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Provenance:
    """The photos that a classifier learned from, each by 8 bytes of its content's digest.

    Attributes:
        trained_on: int64 (N,), strictly rising: of the photos that weights were fitted to.
        chosen_with: int64 (M,), strictly rising: of further ones, which only decided between
            epochs or penalties.

    Raises:
        ValueError: an array is something else, or a photo is in both.
    """

    trained_on: np.ndarray
    chosen_with: np.ndarray

    def __post_init__(self) -> None:
        for role in ("trained_on", "chosen_with"):
            known = getattr(self, role)
            if known.dtype != np.int64 or known.ndim != 1 or not (known[1:] > known[:-1]).all():
                raise ValueError(f"its list of photos {role.replace('_', ' ')} is garbled")
        if len(np.intersect1d(self.trained_on, self.chosen_with)):
            raise ValueError("its lists of photos name the same ones")

    @classmethod
    def of(cls, trained_on: np.ndarray, chosen_with: np.ndarray) -> Provenance:
        """From digests (N,) and (M,) of `Photos.digests`; one in both counts as trained on."""
        trained = np.unique(_short(trained_on))
        return cls(trained, np.setdiff1d(_short(chosen_with), trained))

    def roles(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For photos with these digests, booleans (N,): trained on, chosen with."""
        asked = _short(digests)
        return np.isin(asked, self.trained_on), np.isin(asked, self.chosen_with)


def _short(digests: np.ndarray) -> np.ndarray:
    """The first 8 of 16 bytes as a number, int64 (N,)."""
    whole = np.ascontiguousarray(digests, "S16")
    return whole.view("<i8").reshape(-1, 2)[:, 0].astype(np.int64)
