"""What must be equal: prediction and evaluation, our cut networks and torchvision's."""

from __future__ import annotations

from pathlib import Path


def agreement(shared: Path, weights: Path) -> dict:
    """Prediction, photo by photo, against evaluation on all test photos, in fp32."""
    from flowerlib import data, models, train

    splits = data.image_folder(shared / "flowers")
    small = data.Splits(
        splits.train.per_class(3),
        splits.valid.per_class(1),
        splits.test,
        splits.class_names,
        splits.name,
        splits.pictures,
        splits.origin,
    )
    backbone = models.backbone("mobilenet_v2", weights)
    classifier = train.transfer(small, backbone, precision="fp32", cache=False)
    evaluated = classifier.evaluate(splits.test, precision="fp32", cache=False).logits
    worst, largest = 0.0, float(evaluated.abs().max())
    for index, path in enumerate(splits.test.paths):
        logits = classifier.predict(path, 1, precision="fp32").logits
        worst = max(worst, float((logits - evaluated[index]).abs().max()))
    return {"photos": len(evaluated), "largest_difference": worst, "largest_logit": largest}


def backbones(shared: Path, weights: Path) -> dict:
    """The large backbones with random weights: equal to torchvision's own, frozen over an epoch."""
    import torch
    from torchvision import models as torchvision_models

    from flowerlib import data, models, train

    splits = data.image_folder(shared / "flowers")
    part = data.Splits(
        splits.train.per_class(2),
        splits.valid.per_class(1),
        None,
        splits.class_names,
        "flowers",
        "photos",
        "2 + 1 photos a class",
    )
    rows = []
    for name in ("densenet121", "resnet50", "resnet101"):
        torch.manual_seed(0)
        whole = torchvision_models.get_model(name, weights=None).eval()
        cut = models.backbone(name, "none").eval()
        last = getattr(whole, "fc", None) or whole.classifier
        cut.body.load_state_dict(whole.state_dict(), strict=False)
        images = torch.randn(2, 3, 224, 224)
        with torch.inference_mode():
            gap = float((last(cut(images)) - whole(images)).abs().max())
        before = cut.digest()
        train.transfer(part, cut, head="hidden", epochs=1, cache=False)
        frozen = before == cut.digest()
        rows.append({"backbone": name, "difference_to_torchvision": gap, "frozen": frozen})
    return {"rows": rows}
