"""Every torchvision classifier, frozen, is trained: no parameter and no buffer of it changes.

The digest of the backbone's whole state is taken before and after two steps of SGD on its new head,
with the network set to `train()`. A sample takes the smallest networks.
"""

from __future__ import annotations

from pathlib import Path

from flowerlib import models
from tests.fuzz import Outcome
from tests.models.test_models import ONE_PER_FAMILY, OTHERS, changes_when_trained, parameters_of

NETWORKS = sorted([*ONE_PER_FAMILY, *OTHERS], key=parameters_of)
FULL = len(NETWORKS)


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Trains `count` networks; see the module."""
    outcome, entries = Outcome(), 0
    for name in NETWORKS[:count]:
        backbone = models.freeze(models.backbone(name, "none", seed=seed))
        network = models.Network(backbone, models.linear_head(backbone.num_features, 3))
        before = backbone.digest()
        changed = changes_when_trained(network, name)  # fails if the head does not learn
        if changed or backbone.digest() != before:
            outcome.ends["changed"] += 1
            outcome.failures.append(f"{name}: training changed {', '.join(sorted(changed)[:3])}")
        else:
            outcome.ends["equal"] += 1
        entries += len(backbone.state_dict())
    outcome.facts |= {"parameters_and_buffers_compared": entries, "largest": NETWORKS[count - 1]}
    return outcome
