"""Imported by the server of `tests.warm`, once: what its forks then have; it computes nothing."""

from __future__ import annotations

import gc

import onnx  # noqa: F401
import pytest  # noqa: F401
import timm  # noqa: F401
import torch
import torch.distributed

from flowerlib import train  # noqa: F401
from flowerlib.cli import runs  # noqa: F401

torch.compiler.reset()  # imports what torch imports when it first trains
gc.freeze()  # or each fork would copy pages of memory to look for garbage in them
