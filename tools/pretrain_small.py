"""Pretrains a small backbone on the garden's patterns; writes the weights' file.

    python tools/pretrain_small.py --backbone small_densenet --minutes 30 --seed 0 --teacher FILE

FILE holds mobilenet_v2's ImageNet weights (safetensors, torchvision's names). The student learns to
predict the teacher's feature maps on crops of drawn patterns. This is distillation (Hinton et al.,
"Distilling the knowledge in a neural network", 2015) with hints inside the network (Romero et al.,
"FitNets", 2015), both networks seeing the same crop (Beyer et al., "Knowledge distillation: a good
teacher is patient and consistent", 2022). Asano & Saeed ("Extrapolating from a single image to a
thousand classes using distillation", 2023) need one photo; here there is none.

Two cores need about half an hour, and before that about 70 ms of a core to draw each of the 11,264
patterns; a GPU is used where there is one. `--minutes` fits the schedule to the clock; `--steps`
instead makes a run repeatable.

Ledger. Frozen features of 128 px photos (garden: 96 px), ridge head, test accuracy: cats and dogs
(1,000 to learn from) / beds and sofas (200) / 102 flowers (20 a class) / garden flowers (the same).
small_densenet, 38,400 crops of 64 px each, seed 0, all else equal:

    random weights                                   0.680 / 0.805 / 0.269 / 0.344
    pretext label: which of the 256 patterns         0.694 / 0.710 / 0.212 / 0.342
    distillation, pooled features only               0.692 / 0.775 / 0.360 / 0.578
    + the last map, place by place                   0.704 / 0.695 / 0.346 / 0.559
    + hints: maps at 1/8 and 1/16 as well            0.718 / 0.815 / 0.396 / 0.627

The runs that made the committed files, and the teacher (tools/measure_small.py, all in results/):

    small_densenet, 560,000 crops, 33 minutes        0.850 / 0.865 / 0.663 / 0.814
    small_resnet, 960,000 crops, 41 minutes          0.852 / 0.875 / 0.636 / 0.795
    the same, 428,000 crops, 20 minutes              0.790 / 0.855 / 0.553 / 0.754
    mobilenet_v2, the teacher                        0.960 / 0.940 / 0.811 / 0.853

(Crops are counted each time they are used; about half are kept ones, used again. The first table
took another draw of the training photos than the second.)

Pretext labels (without mixing pictures, which has no label) were learned hardly at all in so few
crops: loss 5.4 of 5.5. One run each, so differences below about 0.04 say nothing. For speed on
two cores: crops of 64 px in the first third of the run, half of all steps on kept crops whose
targets are known, and one thread a replica. The DenseNet's loss stands still over the last third
of its run, and the ResNet's as well: larger students would be the next thing to try.
Real photos were used for these figures and to choose the hints; never for training.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torchvision.models import DenseNet, ResNet, mobilenet_v2
from torchvision.models.resnet import Bottleneck

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from flowerlib import garden  # noqa: E402
from flowerlib.support.storage import atomic_path  # noqa: E402

ARCHITECTURES = {
    "small_densenet": {
        "family": "DenseNet",
        "growth_rate": 64,
        "block_config": [1, 2, 6, 6],
        "num_init_features": 32,
        "bn_size": 1,
    },
    "small_resnet": {
        "family": "ResNet",
        "block": "Bottleneck",
        "expansion": 1,
        "layers": [1, 2, 2, 2],
        "width_per_group": 24,
    },
}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
PICTURE_SIDE, CROP_SIDE = 128, 96


def build(architecture: dict) -> nn.Module:
    """A narrow torchvision network without its classifier, from its constructor's arguments."""
    options = dict(architecture)
    if options.pop("family") == "DenseNet":
        model = DenseNet(num_classes=1, **options)
        model.classifier = nn.Identity()
    else:
        options.pop("block")
        block = type("NarrowBottleneck", (Bottleneck,), {"expansion": options.pop("expansion")})
        model = ResNet(block, num_classes=1, **options)
        model.fc = nn.Identity()
    return model


def stages(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Feature maps at 1/8, 1/16 and 1/32 of the picture's side; the mean of the last is pooled."""
    if isinstance(model, DenseNet):
        maps, x = {}, images
        for name, layer in model.features.named_children():
            maps[name] = x = layer(x)
        return [maps["denseblock2"], maps["denseblock3"], F.relu(x)]
    x = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(images)))))
    eighth = model.layer2(x)
    sixteenth = model.layer3(eighth)
    return [eighth, sixteenth, model.layer4(sixteenth)]


def teacher_stages(features: nn.Sequential, images: torch.Tensor) -> list[torch.Tensor]:
    """mobilenet_v2's maps at the same scales: 32, 96 and 1280 channels."""
    eighth = features[:7](images)
    sixteenth = features[7:14](eighth)
    return [eighth, sixteenth, features[14:](sixteenth)]


def bank(count: int, seed: int) -> torch.Tensor:
    """The first `count` patterns, all classes in turn: uint8 (count, 3, side, side)."""
    classes, numbers = len(garden.class_names("patterns")), np.arange(count)
    drawn = garden.pictures(
        "patterns", numbers % classes, numbers // classes, seed=seed, size=PICTURE_SIDE
    )
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()


# ---- augmentation --------------------------------------------------------------------------------


def crops(images: torch.Tensor, generator: torch.Generator, side: int) -> torch.Tensor:
    """Random turned, stretched, flipped crops of many sizes: uint8 (N, 3, S, S) to float 0..1."""
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    scale = uniform(0.25, 1.0) ** 0.7
    stretch = torch.exp(uniform(-0.3, 0.3))
    angle = uniform(-0.35, 0.35) * (uniform(0, 1) < 0.5)
    flip = torch.sign(uniform(-1, 1))
    room = (1 - scale).clamp(min=0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [
            torch.stack([flip * cos * stretch, -sin, uniform(-1, 1) * room], 1),
            torch.stack([flip * sin, cos / stretch, uniform(-1, 1) * room], 1),
        ],
        1,
    ).to(images.device)
    grid = F.affine_grid(theta, (count, 3, side, side), align_corners=False)
    return F.grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False)


def mixed(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half the batch gets something of its neighbor: a cut-out with a soft wavy edge, or a veil."""
    count, _, side, _ = images.shape
    other = images.roll(1, 0)
    coarse = torch.rand(count, 1, 5, 5, generator=generator).to(images.device)
    wave = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    edge = 20 ** (0.4 + torch.rand(count, 1, 1, 1, generator=generator)).to(images.device)
    cover = torch.sigmoid((wave - 0.55) * edge)
    style = torch.rand(count, 1, 1, 1, generator=generator).to(images.device)
    cover = torch.where(style < 0.15, 0.35 * torch.ones_like(cover), cover)
    cover = cover * (style < 0.5)
    return images + cover * (other - images)


def recolored(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast, saturation, tint and gamma, drawn for each picture."""
    count = len(images)

    def normal(scale: float, channels: int = 1) -> torch.Tensor:
        draw = torch.randn(count, channels, 1, 1, generator=generator)
        return (scale * draw).to(images.device)

    gray = images.mean(1, keepdim=True)
    images = gray + torch.exp(normal(0.4)) * (images - gray)
    images = images * torch.exp(normal(0.15) + normal(0.08, 3))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + torch.exp(normal(0.2)) * (images - middle) + normal(0.07)
    return images.clamp(1e-4, 1) ** torch.exp(normal(0.2))


# ---- distillation --------------------------------------------------------------------------------


def read_teacher(path: Path) -> nn.Module:
    """ImageNet's mobilenet_v2 up to its last feature map, BatchNorm folded away, in eval mode."""
    teacher = mobilenet_v2(num_classes=1)
    teacher.load_state_dict(load_file(path), strict=False)
    teacher.eval().requires_grad_(False)
    for block in teacher.modules():
        children = list(block.named_children()) if isinstance(block, nn.Sequential) else []
        for (_, conv), (name, norm) in zip(children, children[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                fused = nn.utils.fuse_conv_bn_eval(conv, norm)
                conv.weight, conv.bias = fused.weight, fused.bias
                setattr(block, name, nn.Identity())
    return teacher.features.requires_grad_(False)


class Distiller:
    """Student, teacher, projections and data: all that one training step needs."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        torch.manual_seed(options.seed)
        self.device, self.options, self.side = device, options, options.first_side
        self.classes = len(garden.class_names("patterns"))
        self.images = bank(options.pictures, options.seed).to(device)
        self.teacher = read_teacher(options.teacher).to(device, memory_format=torch.channels_last)
        # On a CPU each thread trains a replica on its share of the batch, with parameters in common
        # and one thread to an operation: no waiting for each other at every layer.
        count = 1 if device.type == "cuda" else options.threads
        self.students = [build(ARCHITECTURES[options.backbone]) for _ in range(count)]
        for model in self.students:
            model.to(device, memory_format=torch.channels_last).train()
            for mine, its in zip(self.students[0].parameters(), model.parameters(), strict=True):
                its.data = mine.data
        self.generators = [
            torch.Generator().manual_seed(1000 * options.seed + number) for number in range(count)
        ]
        self.pool = ThreadPoolExecutor(count)
        self.kept: list[list] = [[] for _ in range(count)]
        self._measure_targets()

    def _measure_targets(self) -> None:
        """Means and spreads of the teacher's channels on patterns; one projection for each map."""
        batches = [self.targets(self.batch(64, self.generators[0])[0]) for _ in range(12)]
        maps = [torch.cat(found) for found in zip(*batches, strict=True)]
        self.mean = [m.mean((0, 2, 3), keepdim=True) for m in maps]
        self.std = [m.std((0, 2, 3), keepdim=True) + 0.02 for m in maps]
        self.pooled_std = maps[-1].mean((2, 3), keepdim=True).std(0, keepdim=True) + 0.02
        with torch.no_grad():
            images = torch.zeros(2, 3, 64, 64, device=self.device)
            widths = [
                m.shape[1]
                for m in stages(build(ARCHITECTURES[self.options.backbone]), images.cpu())
            ]
        self.features = widths[-1]
        self.projections = nn.ModuleList(
            nn.Conv2d(width, m.shape[1], 1) for width, m in zip(widths, maps, strict=True)
        ).to(self.device)
        if self.options.method == "labels":
            self.projections = nn.ModuleList([nn.Conv2d(self.features, self.classes, 1)])
            self.projections.to(self.device)

    def parameters(self, replica: int = 0) -> list[nn.Parameter]:
        return [*self.students[replica].parameters(), *self.projections.parameters()]

    def batch(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented, normalized crops (count, 3, S, S), and the classes of the patterns."""
        chosen = torch.randint(len(self.images), (count,), generator=generator)
        images = crops(self.images[chosen.to(self.device)], generator, self.side)
        if (
            self.options.method == "distill"
        ):  # a mixture has no class, but a teacher can describe it
            images = mixed(images, generator)
        images = recolored(images, generator)
        images = (images - MEAN.to(self.device)) / STD.to(self.device)
        labels = chosen.to(self.device) % self.classes
        return images.contiguous(memory_format=torch.channels_last), labels

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def targets(self, images: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad(), self.autocast():
            return [found.float() for found in teacher_stages(self.teacher, images)]

    def examples(self, replica: int) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Crops, labels, the teacher's maps: new ones, or (every other time) kept ones again."""
        kept, generator = self.kept[replica], self.generators[replica]
        if kept and kept[0][0].shape[-1] != self.side:
            kept.clear()
        if len(kept) >= 100 and torch.rand((), generator=generator) < self.options.replay:
            return kept[int(torch.randint(len(kept), (), generator=generator))]
        images, labels = self.batch(self.options.batch // len(self.students), generator)
        targets = self.targets(images) if self.options.method == "distill" else []
        kept.append((images, labels, targets))
        del kept[:-150]
        return kept[-1]

    def share(self, replica: int) -> tuple[tuple[torch.Tensor, ...], float]:
        """Gradients and loss of one replica on its share of the batch."""
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        images, labels, targets = self.examples(replica)
        with self.autocast():
            maps = stages(self.students[replica], images)
            if self.options.method == "labels":
                maps = maps[-1:]
            guesses = [p(m).float() for p, m in zip(self.projections, maps, strict=True)]
        if self.options.method == "labels":
            loss = F.cross_entropy(guesses[0].mean((2, 3)), labels, label_smoothing=0.1)
            return torch.autograd.grad(loss, self.parameters(replica)), float(loss.detach())
        loss = 0.0
        for guess, target, mean, std, weight in zip(
            guesses, targets, self.mean, self.std, self.options.weights, strict=True
        ):
            local = F.cosine_similarity(guess, (target - mean) / std)
            loss = loss + weight * (1 - local.mean())
        # The same projection at each place and pooled: pooling is linear, so the two terms agree.
        pooled = (guesses[-1] * self.std[-1] / self.pooled_std).mean((2, 3))
        wanted = ((targets[-1] - self.mean[-1]) / self.pooled_std).mean((2, 3))
        whole = 1 - F.cosine_similarity(pooled, wanted).mean()
        gradients = torch.autograd.grad(loss + whole, self.parameters(replica))
        return gradients, float(whole.detach())

    def step(self) -> float:
        """Puts one step's gradients, averaged over the replicas, into the student; the loss."""
        shares = list(self.pool.map(self.share, range(len(self.students))))
        for parameter, *found in zip(self.parameters(), *(g for g, _ in shares), strict=True):
            parameter.grad = sum(found[1:], found[0]) / len(found)
        return sum(loss for _, loss in shares) / len(shares)


def write_weights(model: nn.Module, architecture: dict, path: Path, notes: dict) -> int:
    """Writes fp16 safetensors, the constructor's arguments in their metadata; the bytes written."""
    state = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        key: json.dumps(value) for key, value in {"architecture": architecture, **notes}.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata=metadata)
    return path.stat().st_size


def pretrain(options: argparse.Namespace) -> dict:
    """Trains for `options.minutes` (or `options.steps`), saving as it goes; the log of the run."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distiller = Distiller(options, device)
    architecture = ARCHITECTURES[options.backbone]
    optimizer = torch.optim.AdamW(
        distiller.parameters(), lr=options.lr, weight_decay=0.02, betas=(0.9, 0.98)
    )
    started = saved = time.perf_counter()
    steps, running, curve = 0, None, []
    print(
        f"{options.backbone} on {device.type}, bfloat16, {len(distiller.images)} patterns",
        flush=True,
    )
    while True:
        elapsed = time.perf_counter() - started
        progress = steps / options.steps if options.steps else elapsed / (60 * options.minutes)
        if progress >= 1:
            break
        distiller.side = options.first_side if progress < options.first_share else options.side
        warm = min(1.0, (steps + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = options.lr * warm * (0.5 + 0.5 * np.cos(np.pi * progress))
        loss = distiller.step()
        optimizer.step()
        steps += 1
        running = loss if running is None else 0.98 * running + 0.02 * loss
        if steps % 100 == 0:
            seen = steps * options.batch
            curve.append([seen, round(running, 4)])
            print(
                f"{elapsed:6.0f} s  step {steps}  {seen / elapsed:4.0f}/s  loss {running:.4f}",
                flush=True,
            )
        if time.perf_counter() - saved > 180:
            saved = time.perf_counter()
            part = {"pretraining": f"unfinished, {progress:.0%}", "seed": options.seed}
            write_weights(distiller.students[0], architecture, options.out, part)
    notes = {
        "pretraining": "distilled from ImageNet mobilenet_v2 on drawn patterns",
        "seed": options.seed,
    }
    size = write_weights(distiller.students[0], architecture, options.out, notes)
    return {
        "backbone": options.backbone,
        "architecture": architecture,
        "parameters": sum(p.numel() for p in distiller.students[0].parameters()),
        "features": distiller.features,
        "bytes": size,
        "seed": options.seed,
        "patterns": len(distiller.images),
        "method": options.method,
        "steps": steps,
        "batch": options.batch,
        "crops_seen": steps * options.batch,
        "training_seconds": round(time.perf_counter() - started, 1),
        "lr": options.lr,
        "weights_of_maps_at_8_16_32": options.weights,
        "replay": options.replay,
        "sides": [options.first_side, options.side],
        "share_of_first_side": options.first_share,
        "device": device.type,
        "precision": "bfloat16 autocast, float32 parameters",
        "torch": torch.__version__,
        "loss_curve": curve,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", choices=sorted(ARCHITECTURES), default="small_densenet")
    parser.add_argument("--teacher", type=Path, required=True, help="weights of mobilenet_v2")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, default=0, help="stop by steps instead of by time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=11264)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--side", type=int, default=CROP_SIDE)
    parser.add_argument("--first-side", type=int, default=64, help="of crops, early in the run")
    parser.add_argument("--first-share", type=float, default=0.35, help="of the run")
    parser.add_argument("--method", choices=("distill", "labels"), default="distill")
    parser.add_argument("--weights", type=float, nargs=3, default=[0.3, 0.5, 0.5])
    parser.add_argument("--replay", type=float, default=0.5, help="share of steps on kept crops")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    options.out = options.out or ROOT / "flowerlib" / "weights" / f"{options.backbone}.safetensors"
    options.log = options.log or ROOT / "results" / f"pretrain_{options.backbone}.json"
    record = pretrain(options)
    with atomic_path(options.log) as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
