"""Networks: backbones and their weights, heads, freezing, multi-level features."""

from flowerlib.models.backbones import (
    architecture,
    backbone,
    default_preprocessing,
    fillable,
    full_name,
    library_version,
    names,
    weights_origin,
)
from flowerlib.models.freezing import freeze, trainable_parameters, unfreeze
from flowerlib.models.heads import hidden_head, linear_head
from flowerlib.models.networks import (
    OWN,
    Backbone,
    Network,
    has_levels,
    last_layer,
    multi_level,
)
from flowerlib.models.random_weights import seeded
from flowerlib.models.small_networks import SMALL, SmallCNN
from flowerlib.models.splitting import split
from flowerlib.models.summary import Summary, summary

__all__ = [
    "OWN",
    "SMALL",
    "Backbone",
    "Network",
    "SmallCNN",
    "Summary",
    "architecture",
    "backbone",
    "default_preprocessing",
    "fillable",
    "freeze",
    "full_name",
    "has_levels",
    "hidden_head",
    "last_layer",
    "library_version",
    "linear_head",
    "multi_level",
    "names",
    "seeded",
    "split",
    "summary",
    "trainable_parameters",
    "unfreeze",
    "weights_origin",
]
