"""Features on disk: one folder for each (layers, weights, preprocessing, precision).

Every write adds one file under a name of its own, so two processes never write to the same one,
and a photo that is added later costs only itself.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from flowerlib.features.engine import KINDS
from flowerlib.models import Backbone
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

FORMAT = 6  # raise it when the same inputs would give other features, or the files change


class FeatureCache:
    """The cache of one network's features: files of (digests, features).

    Args:
        structure: of the backbone's body; see `fingerprint.structure`.
    """

    def __init__(
        self, backbone: Backbone, structure: str, preprocessing: Preprocessing, precision: str
    ) -> None:
        context = {
            "format": FORMAT,
            "structure": structure,
            "weights": backbone.digest(),
            "preprocessing": preprocessing.to_dict(),
            "precision": precision,
        }
        self.kind = KINDS[precision]
        self.width = backbone.num_features
        self.key = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        self.folder = storage.cache_folder("features", f"{backbone.name}-{self.key[:24]}")

    def read(self) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All that is cached, a file at a time: N photos' digests "S16", features (N, D) of `kind`.

        A damaged file is removed with a warning, so that its photos are computed again.
        """
        for file in sorted(self.folder.glob("*.safetensors")):
            try:
                yield self._read_file(file)
            except OSError as problem:  # such as that of another user of the same folder
                if file.exists():  # not removed by another process a moment ago
                    warnings.warn(
                        f"The cache file {file} cannot be used ({problem.strerror}); its photos "
                        "are computed again.",
                        stacklevel=3,
                    )
            except (SafetensorError, KeyError, ValueError) as problem:
                end = "removed"
                try:
                    file.unlink(missing_ok=True)
                except OSError:  # the folder may be read-only
                    end = "left out"
                warnings.warn(f"Damaged cache file {file} {end} ({problem}).", stacklevel=3)

    def _read_file(self, file: Path) -> tuple[np.ndarray, Tensor]:
        with safe_open(file, "pt") as opened:
            digests, values = opened.get_tensor("digests"), opened.get_tensor("values")
            checksum = (opened.metadata() or {}).get("checksum")
        if values.shape != (len(digests), self.width) or digests.shape[1:] != (16,):
            raise ValueError(f"shapes {tuple(digests.shape)}, {tuple(values.shape)}")
        if (digests.dtype, values.dtype) != (torch.uint8, self.kind):
            raise ValueError(f"types {digests.dtype}, {values.dtype}")
        if checksum != self._checksum(digests, values):
            raise ValueError("its checksum is another")
        return digests.numpy().view("S16")[:, 0], values

    def write(self, digests: np.ndarray, values: Tensor) -> None:
        """Adds the features (N, D) of N digests "S16" in a new file of `kind`, whole or not at all.

        Raises:
            InputError: the cache's folder is full, or cannot be written to.
        """
        keys = torch.from_numpy(digests.view(np.uint8).reshape(-1, 16))
        tensors = {"digests": keys, "values": values.to(self.kind).contiguous()}
        checksum = self._checksum(**tensors)
        try:
            with storage.atomic_path(self.folder / f"{uuid.uuid4().hex}.safetensors") as path:
                path.write_bytes(save(tensors, {"checksum": checksum}))
        except InputError as problem:
            reason = getattr(problem.__context__, "strerror", None) or problem
            raise InputError(
                f"Features cannot be cached in {self.folder} ({reason}); free space, point "
                "FLOWERLIB_CACHE at another folder, or go without the cache (--no-cache)."
            ) from None

    def _checksum(self, digests: Tensor, values: Tensor) -> str:
        """CRC-32 of everything that an answer hangs on, the cache's key too, as eight digits.

        It is there to notice accidents: any flipped bit, a file that strayed here from another
        cache. A cryptographic digest would be slower and no safer, since whoever can change the
        file can change its digest.
        """
        found = zlib.crc32(self.key.encode())
        for tensor in (digests, values):
            found = zlib.crc32(tensor.view(torch.uint8).numpy(), found)  # type: ignore[arg-type]
        return f"{found:08x}"
