"""The source's recipe in plain torchvision: the frozen network passes every photo in every epoch.

ImageFolder, random rotation, crop and flip, batches of 64, eager fp32, one hidden layer with
dropout and LogSoftmax, NLLLoss, Adam with a learning rate of 0.003. In two things it is kinder than
its source: two processes open photos, and the frozen network stays in `eval()` (with these weights,
whose BatchNorm is folded, `train()` would ruin it).
"""

from __future__ import annotations

import os
import sys
import time


def train(
    folder: str,
    weights: str,
    epochs: int,
    goal: float,
    state: str,
    started: float,
    hidden: int = 256,
    dropout: float = 0.2,
    lr: float = 0.003,
) -> dict:
    """Trains until valid accuracy reaches the goal, or the epochs are over.

    Args:
        folder: holds train/ and valid/, one folder a class.
        weights: of mobilenet_v2.
        epochs: stop after epoch number `epochs`.
        goal: accuracy, a fraction in [0, 1].
        state: a file that holds the state after every epoch; where it is there, training goes on
            from it.
        started: `time.time()` before this process began.
        hidden, dropout, lr: of the head.

    Returns:
        One row an epoch (valid accuracy, seconds since the start) and whether the goal was reached.
    """
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, models, transforms

    from flowerlib import metrics

    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    augment = transforms.Compose(
        [
            transforms.RandomRotation(30),
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalize,
        ]
    )
    plain = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalize]
    )
    train_data = datasets.ImageFolder(os.path.join(folder, "train"), augment)
    valid_data = datasets.ImageFolder(os.path.join(folder, "valid"), plain)
    train_loader = DataLoader(train_data, batch_size=64, shuffle=True, num_workers=2)
    valid_loader = DataLoader(valid_data, batch_size=64, num_workers=2)

    torch.manual_seed(0)
    model = models.mobilenet_v2()
    state_dict = {key.removeprefix("features."): value for key, value in load_file(weights).items()}
    model.features.load_state_dict(state_dict)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier = nn.Sequential(
        nn.Linear(1280, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, len(train_data.classes)),
        nn.LogSoftmax(dim=1),
    )
    criterion = nn.NLLLoss()
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=lr)

    rows: list[dict] = []
    if os.path.exists(state):
        kept = torch.load(state, weights_only=True)
        model.classifier.load_state_dict(kept["classifier"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["random"])
        rows = kept["rows"]
    before = rows[-1]["seconds"] if rows else 0.0

    while len(rows) < epochs and not (rows and rows[-1]["valid_accuracy"] >= goal):
        model.eval()
        model.classifier.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in valid_loader:
                correct += int((model(images).argmax(1) == labels).sum())
        accuracy = correct / len(valid_data)
        seconds = before + time.time() - started
        rows.append({"epoch": len(rows) + 1, "valid_accuracy": accuracy, "seconds": seconds})
        accuracy_text = metrics.format_accuracy(correct, len(valid_data), "valid")
        print(f"  epoch {len(rows)}: {accuracy_text} after {seconds:.0f} s", file=sys.stderr)
        kept = {"classifier": model.classifier.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**kept, "random": torch.get_rng_state(), "rows": rows}, state)

    return {
        "seconds": rows[-1]["seconds"],
        "rows": rows,
        "reached": rows[-1]["valid_accuracy"] >= goal,
        "precision": "fp32",
        "threads": torch.get_num_threads(),
    }
