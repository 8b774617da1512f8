"""A network run by ONNX Runtime: the fast way on processors.

It computes on the thread that calls it, with no state that threads share, so any number of threads
and of forked processes can use it at once.

torch takes two to three times as long. OpenVINO is as fast, but hangs in a process that was forked
after it had computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from flowerlib.models import fingerprint
from flowerlib.support import storage
from flowerlib.support.errors import InputError
from flowerlib.transforms import Preprocessing

FORMAT = 3  # raise it when the same network would be converted in another way
CONVERSION_SECONDS = 600
# In a pass, of all its images: one of 224 px, or more of smaller ones. The maps of four do not stay
# in a core's cache, which takes 4 to 20 % more time, and 65 MB more.
PIXELS = 224**2


class Computation(nn.Module):
    """All of what is computed of a photo: uint8 pixels (N, side, side, 3) → features (N, D)."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.body, self.side = body, preprocessing.crop
        # Whole rows at a time: 0.05 instead of 0.89 ms an image of 224 pixels.
        for name in ("mean", "std"):
            each = torch.tensor(getattr(preprocessing, name), dtype=torch.float32, device="cpu")
            self.register_buffer(name, each.repeat(self.side))

    def images(self, pixels: Tensor) -> Tensor:
        """Normalized images float32 (N, 3, side, side), channels last in memory."""
        rows = pixels.flatten(2).float()
        rows = (rows / 255 - self.mean) / self.std
        # Behind `view`, the exporter forgets how large images are; behind `unflatten`, that there
        # may be any number of them.
        return rows.view_as(pixels).permute(0, 3, 1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(self.images(pixels)).flatten(1)


def suits(network: nn.Module) -> bool:
    """Whether the network can be converted and gains by it: convolutions, without attention.

    torch computes networks of LayerNorm and attention as fast.
    """
    layers = [type(layer) for layer in network.modules()]
    return (
        any(issubclass(layer, nn.Conv2d) for layer in layers)
        and not any(issubclass(layer, nn.LayerNorm) for layer in layers)
        and fingerprint.structure(network) is not None
    )


class Session:
    """uint8 pixels (N, H, W, 3) → features float32 (N, D), by ONNX Runtime."""

    def __init__(self, network: Computation) -> None:
        """Converts the network, or takes its graph from the cache.

        Args:
            network: in `eval()`, on the processor; see `suits`.

        Raises:
            Exception: whatever the conversion or ONNX Runtime meets.
        """
        self.at_once = max(1, PIXELS // network.side**2)
        names, graph = _graph(network)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it meets is raised, too
        weights = network.state_dict()
        values = [
            onnxruntime.OrtValue.ortvalue_from_numpy(weights[name].contiguous().numpy())
            for name in names
        ]
        options.add_external_initializers(names, values)
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        pixels = np.ascontiguousarray(pixels)
        parts = [pixels[at : at + self.at_once] for at in range(0, len(pixels), self.at_once)]
        return np.concatenate([self.session.run(["features"], {"pixels": p})[0] for p in parts])


def kept_in() -> Path:
    """The folder of converted networks."""
    return storage.cache_folder("networks")


def _graph(network: Computation) -> tuple[list[str], bytes]:
    """The network's graph without its weights, from the cache's folder or made now.

    Returns:
        The names of the weights that it uses, and the graph.
    """
    # Whether a layer has a bias, for one, is not among its settings.
    weights = [(name, value.shape, value.dtype) for name, value in network.state_dict().items()]
    context = [FORMAT, fingerprint.structure(network), weights]
    key = hashlib.sha256(repr(context).encode()).hexdigest()
    try:
        file = kept_in() / f"{key[:32]}.onnx"
    except InputError:  # nowhere to keep it
        return _parsed(_converted(network))
    with contextlib.suppress(OSError):  # it is not there, or was removed a moment ago
        stored = file.read_bytes()
        if stored[:4] == zlib.crc32(stored[4:]).to_bytes(4, "big"):
            return _parsed(stored[4:])
    content = _converted(network)
    parsed = _parsed(content)  # before it is stored
    with contextlib.suppress(InputError):  # a full disk: it is made again the next time
        with storage.atomic_path(file) as path:
            path.write_bytes(zlib.crc32(content).to_bytes(4, "big") + content)
    return parsed


def _parsed(content: bytes) -> tuple[list[str], bytes]:
    names, _, graph = content.partition(b"\n")
    return json.loads(names), graph


def _converted(network: Computation) -> bytes:
    """A line of the names, then the graph."""
    with tempfile.TemporaryDirectory(prefix="flowerlib-") as folder:
        given, made = Path(folder, "network.pt"), Path(folder, "network.onnx")
        # Of three images: the engine's check passes two through the graph, and would not see that
        # it holds for two only.
        pixels = torch.zeros(3, network.side, network.side, 3, dtype=torch.uint8)
        torch.save((network, pixels), given)
        names = run_conversion(given, made)
        return names.encode() + b"\n" + made.read_bytes()


def run_conversion(given: Path, made: Path) -> str:
    """Runs `flowerlib.features.conversion` in a process of its own; the names that it prints."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "flowerlib.features.conversion"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*command, str(given), str(made)],
        env=environment,
        capture_output=True,
        timeout=CONVERSION_SECONDS,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise RuntimeError(f"conversion to ONNX failed: {lines[-1][:300]}")
    return done.stdout.decode().strip().splitlines()[-1]
