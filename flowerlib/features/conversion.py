"""Converts a network to ONNX, in a process of its own.

`python -m flowerlib.features.conversion IN OUT` prints the names of the weights, as JSON. Where it
fails, the last line of its stderr says why.

torch's exporter traces, warns, and changes settings of its process while it works; alone, it
disturbs nobody.
"""

from __future__ import annotations

import json
import sys

import onnx
import torch
from torch import nn

from flowerlib.support.errors import first_line


def convert(network: nn.Module, pixels: torch.Tensor, path: str) -> list[str]:
    """Writes the graph for any number of such pixels, with weights that are to be filled in.

    Args:
        network: uint8 pixels (N, H, W, 3) → features (N, D); its weights are overwritten.
        pixels: an example.
        path: of the graph; its weights refer to a file that does not exist.

    Returns:
        The names of the weights that the graph uses, as in the network's `state_dict`.
    """
    weights = network.state_dict()
    for value in weights.values():
        if value.is_floating_point():  # the exporter would merge weights of equal values
            value.uniform_(0.5, 1.5)
    torch.onnx.export(
        network.eval(),
        (pixels,),
        path,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_axes={"pixels": {0: "n"}, "features": {0: "n"}},
        training=torch.onnx.TrainingMode.PRESERVE,  # or BatchNorm would be folded in, for good
        do_constant_folding=False,
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    used = []
    for entry in model.graph.initializer:
        if entry.name in weights:
            used.append(entry.name)
            entry.ClearField("raw_data")
            entry.data_location = onnx.TensorProto.EXTERNAL
            entry.external_data.add(key="location", value="weights")
    onnx.save(model, path)
    return used


if __name__ == "__main__":
    network, pixels = torch.load(sys.argv[1], weights_only=False)  # written by the process above
    try:
        names = convert(network, pixels, sys.argv[2])
    except Exception as problem:  # whatever the exporter meets
        sys.exit(first_line(problem))
    print(json.dumps(names))
