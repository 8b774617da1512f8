"""Fine-tuning: each option does what it says, and a whole training keeps its promises."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from flowerlib import data, metrics, models, train
from flowerlib.classifier import Classifier
from flowerlib.data import Splits
from flowerlib.models import Network
from flowerlib.support import options
from flowerlib.support.errors import InputError
from flowerlib.train import FineTuning
from flowerlib.train.evaluation import RunningLoss
from flowerlib.train.fine_tuning import last_stage, loop, views
from flowerlib.train.fine_tuning.averaging import Averages
from flowerlib.train.fine_tuning.blocks import blocks, parameter_groups, unfreeze
from flowerlib.train.fine_tuning.schedules import schedule
from flowerlib.train.fine_tuning.step import Step
from flowerlib.transforms import Preprocessing

SMALL = Preprocessing(32, 32)
EXACT = {"precision": "fp32", "cache": False}


@pytest.fixture(scope="module")
def pets() -> Splits:
    return data.garden("pets", per_class=(8, 4, 6), size=32)


def network(seed: int = 0) -> Network:
    backbone = models.backbone("small_resnet", "small")
    with models.seeded(seed):
        return Network(backbone, models.linear_head(backbone.num_features, 2))


def digest(module: nn.Module) -> str:
    content = b"".join(value.numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------ blocks, rates, schedules


@pytest.mark.parametrize(
    ("name", "count"), [("small_resnet", 6), ("mobilenet_v2", 10), ("vit_b_16", 12)]
)
def test_every_parameter_is_in_one_block(name: str, count: int) -> None:
    body = models.architecture(name).body
    found = blocks(body)
    assert len(found) >= count
    flat = [id(parameter) for block in found for parameter in block]
    assert sorted(flat) == sorted(map(id, body.parameters()))
    assert found[0][0] is next(iter(body.parameters()))


def test_a_network_of_one_layer_is_one_block() -> None:
    layer = nn.Linear(3, 3)
    assert [len(block) for block in blocks(layer)] == [2]


def test_rates_shrink_from_block_to_block() -> None:
    settings = FineTuning(lr=0.1, layer_decay=0.5)
    rates = [group["lr"] for group in parameter_groups(network(), settings)]
    assert rates[-2:] == [0.1, 0.1]  # the last block, the head
    assert rates[:-1] == pytest.approx([0.1 * 0.5**depth for depth in range(len(rates) - 1)][::-1])


def test_blocks_join_in_from_the_last_to_the_first() -> None:
    net = network()
    total = len(blocks(net.backbone))
    assert unfreeze(net, 1, 0) == total
    counts = [unfreeze(net, epoch, 2) for epoch in (1, 2, 3, 4)]
    assert counts[0] < counts[1] < counts[2] == counts[3] == total
    unfreeze(net, 1, 2)
    learns = [block[0].requires_grad for block in blocks(net.backbone)]
    assert learns == sorted(learns) and learns.count(True) == counts[0]
    assert all(parameter.requires_grad for parameter in net.head.parameters())


def rates_of(settings: FineTuning, steps: int = 20) -> list[float]:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=settings.lr)
    rates = schedule(optimizer, steps, settings)
    found = []
    for _ in range(steps):
        found.append(float(rates.get_last_lr()[0]))
        optimizer.step()
        rates.step()
    return found


@pytest.mark.parametrize("word", ["cosine", "one-cycle", "constant"])
def test_the_rate_rises_and_then_does_as_its_schedule_says(word: str) -> None:
    found = rates_of(FineTuning(lr=1.0, schedule=word, warm_up=0.25))
    peak = int(np.argmax(found))
    assert found[:peak] == sorted(found[:peak]) and 2 <= peak <= 6
    assert 0.8 < max(found) <= 1
    if word == "constant":
        assert set(found[peak:]) == {1.0}
    else:
        assert found[peak:] == sorted(found[peak:], reverse=True) and found[-1] < 0.02
    assert rates_of(FineTuning(lr=1.0, schedule="constant", warm_up=0)) == [1.0] * 20


# ------------------------------------------------------------ steps


def batch(count: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 32, 32, generator=generator), torch.arange(count) % 2


def stepped(part_size: int | None, clip: float = 0.0, loss: nn.Module | None = None) -> nn.Module:
    """The gradients after one step with a learning rate of 0."""
    net = network().eval()
    step = Step(
        net,
        torch.optim.SGD(net.parameters(), lr=0.0),
        clip_norm=clip,
        device="cpu",
        precision="fp32",
    )
    step.part_size = part_size
    step(*batch(), RunningLoss(loss or nn.CrossEntropyLoss()))
    return net


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 7.0])])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(weights: Tensor | None) -> None:
    loss = nn.CrossEntropyLoss(weights, label_smoothing=0.1)
    whole, parts = stepped(None, loss=loss), stepped(3, loss=loss)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6, rtol=1e-3)


def test_the_gradient_is_clipped() -> None:
    def length(net: nn.Module) -> float:
        return float(torch.cat([p.grad.flatten() for p in net.parameters()]).norm())

    assert length(stepped(None)) > 0.1
    assert length(stepped(None, clip=0.1)) == pytest.approx(0.1, rel=1e-3)


class Narrow(nn.Module):
    """Runs out of memory with more than two photos at a time, as torch says it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.layer, self.text = nn.Linear(3 * 32 * 32, 4), text

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 2:
            raise RuntimeError(self.text)
        return self.layer(images.flatten(1))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_out_of_memory_halves_the_batch_and_says_so(text: str) -> None:
    backbone = models.Backbone("narrow", Narrow(text), 4, "none", SMALL)
    net = Network(backbone, models.linear_head(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    step = Step(net, optimizer, clip_norm=0, device="cpu", precision="fp32")
    loss, before = RunningLoss(nn.CrossEntropyLoss()), digest(net)
    with pytest.warns(UserWarning, match="Out of memory with .* photos at a time; continuing"):
        step(*batch(8), loss)
    assert step.part_size == 2 and digest(net) != before
    assert loss.count == 8 and loss.mean > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has learned
        step(*batch(8), loss)


def test_a_batch_that_does_not_fit_is_measured_in_parts() -> None:
    """More photos are measured at a time than learned from, where memory is as short."""
    net = nn.Sequential(Narrow("CUDA out of memory. Tried to allocate 2.00 GiB"))
    images, labels = batch(7)
    loss = nn.CrossEntropyLoss()
    small = [(images[[at]], labels[[at]]) for at in range(7)]
    expected = train.evaluate(net, small, loss)
    assert train.evaluate(net, [(images, labels)], loss) == pytest.approx(expected)
    with pytest.raises(RuntimeError, match="mat1"):
        train.evaluate(Narrow("mat1 and mat2 shapes"), [(images, labels)], loss)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    backbone = models.Backbone("narrow", Narrow("mat1 and mat2 shapes"), 4, "none", SMALL)
    net = Network(backbone, models.linear_head(4, 2))
    step = Step(net, torch.optim.SGD(net.parameters()), clip_norm=0, device="cpu", precision="fp32")
    with pytest.raises(RuntimeError, match="mat1"):
        step(*batch(8), RunningLoss(nn.CrossEntropyLoss()))


# ------------------------------------------------------------ views, mixing, balance, averages


@pytest.mark.parametrize("augment", options.options_of(FineTuning)["augment"].words)
def test_views_follow_from_seed_epoch_and_index(pets: Splits, augment: str) -> None:
    def first(seed: int, epoch: int) -> Tensor:
        settings = FineTuning(augment=augment, batch_size=4)
        batches = views.train_batches(pets.train, SMALL, settings, seed=seed)
        batches.sampler.epoch = batches.dataset.epoch = epoch
        return next(iter(batches))[0]

    torch.manual_seed(1)
    one = first(0, 1)
    torch.manual_seed(2)
    assert one.shape == (4, 3, 32, 32) and torch.equal(one, first(0, 1))
    assert not torch.equal(one, first(0, 2)) and not torch.equal(one, first(1, 1))


def test_no_augmentation_is_what_prediction_sees(pets: Splits) -> None:
    photo = pets.train.image(0)
    assert torch.equal(views.RandomView(SMALL, "none")(photo), SMALL(photo))


@pytest.mark.parametrize("mix", ["mixup", "cutmix", "both"])
def test_mixed_labels_are_shares_of_the_mixed_photos(mix: str) -> None:
    torch.manual_seed(0)
    images = torch.eye(2)[torch.arange(8) % 2][:, 0].view(8, 1, 1, 1).expand(8, 3, 16, 16).clone()
    mixed, shares = views.mixer(mix, 2)(images, torch.arange(8) % 2)
    assert shares.shape == (8, 2) and torch.allclose(shares.sum(1), torch.ones(8))
    # Photos of class 0 are white, those of class 1 black: brightness is the share of class 0.
    assert torch.allclose(mixed.mean((1, 2, 3)), shares[:, 0], atol=1e-4)


def test_without_mixing_a_batch_stays_as_it_is() -> None:
    images, labels = batch()
    assert all(
        one is other
        for one, other in zip(views.mixer("none", 2)(images, labels), (images, labels), strict=True)
    )


@pytest.mark.parametrize(("averaging", "expected"), [("none", 9.0), ("swa", 7.0)])
def test_averages_over_the_steps(averaging: str, expected: float) -> None:
    layer = nn.Linear(1, 1, bias=False)
    averages = Averages(layer, averaging, steps=10)
    for step in range(10):
        with torch.no_grad():
            layer.weight.fill_(step)
        averages.update()
        if step < 5:
            assert averages.best_guess().weight.item() == step
    assert averages.best_guess().weight.item() == pytest.approx(expected)


def test_an_exponential_average_follows_slowly() -> None:
    layer = nn.Linear(1, 1, bias=False)
    averages = Averages(layer, "ema", steps=100)
    for step in range(100):
        with torch.no_grad():
            layer.weight.fill_(step)
        averages.update()
    # Of a line that rises by one a step, an average over about ten steps is nine behind.
    assert averages.best_guess().weight.item() == pytest.approx(99 - 9, abs=0.5)


# ------------------------------------------------------------ a whole training


@pytest.fixture(scope="module")
def tuned(pets: Splits) -> Classifier:
    return train.fine_tune(
        pets, "small_resnet", FineTuning(epochs=2, batch_size=8), preprocessing=SMALL, **EXACT
    )


def test_what_a_training_says_about_itself(tuned: Classifier, pets: Splits) -> None:
    assert [row["epoch"] for row in tuned.history.rows] == [1, 2]
    assert tuned.backbone.weights == "small, fine-tuned"
    assert set(tuned.results["seconds"]) == {"backbone", "features", "head", "tuning"}
    found = tuned.results["fine_tuning"]
    assert found["what"] == "all" and found["epochs"] == 2
    gain, low, high = found["difference"]
    right = (tuned.valid_logits.argmax(1) == torch.from_numpy(pets.valid.labels)).double().mean()
    assert float(right) - found["frozen_valid_accuracy"] == pytest.approx(gain)
    assert low <= gain <= high
    assert tuned.results["valid"]["accuracy"] == pytest.approx(float(right))
    assert tuned.results["valid"]["trained_on_it_afterwards"]


def test_the_head_is_the_one_that_transfer_solves_on_the_tuned_backbone(
    tuned: Classifier, pets: Splits
) -> None:
    made = train.transfer(pets, tuned.backbone, preprocessing=SMALL, **EXACT)
    assert made.results["head"] == tuned.results["head"]
    assert torch.equal(made.valid_logits, tuned.valid_logits)
    found = [one.evaluate(pets.test, **EXACT).logits for one in (made, tuned)]
    assert torch.equal(*found)


def test_every_layer_learns_and_batch_norm_keeps_its_statistics(tuned: Classifier) -> None:
    before = models.backbone("small_resnet", "small").body.state_dict()
    after = tuned.backbone.state_dict()
    for name, value in after.items():
        old = before[name.removeprefix("body.").removeprefix("body.")]
        assert torch.equal(value, old) == name.endswith(("mean", "var", "tracked")), name


def test_it_is_saved_and_loaded(tuned: Classifier, pets: Splits, tmp_path: Path) -> None:
    loaded = Classifier.load(tuned.save(tmp_path / "tuned.safetensors"))
    expected, found = (one.evaluate(pets.test, **EXACT).logits for one in (tuned, loaded))
    assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ("steps", "warm_up"), [(9, 0.1), (19, 0.05), (4, 0.2), (3, 0.25), (1, 0.5), (999, 0)]
)
@pytest.mark.parametrize("word", ["cosine", "one-cycle", "constant"])
def test_a_warm_up_of_one_step_is_none(word: str, steps: int, warm_up: float) -> None:
    """torch's OneCycleLR would divide by the 0 steps that are left of it after the first."""
    found = rates_of(FineTuning(lr=1.0, schedule=word, warm_up=warm_up), steps)
    assert len(found) == steps and min(found) >= 0 and found[0] == max(found) > 0.8


def test_the_training_photos_are_distinguished_better(pets: Splits) -> None:
    settings = FineTuning(epochs=4, batch_size=8, lr=1e-3, augment="none", label_smoothing=0)
    made = train.fine_tune(
        pets, "small_resnet", settings, layers="last", preprocessing=SMALL, **EXACT
    )
    rows = made.history.rows
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 2


VARIANTS = [
    {"schedule": "one-cycle", "unfreeze_epochs": 1},
    {"mix": "both", "augment": "trivial", "averaging": "ema"},
    {"augment": "rand", "averaging": "swa", "balance": "weights", "clip_norm": 0},
    {"balance": "sampler", "schedule": "constant", "warm_up": 0, "mix": "mixup"},
]


class Stopped(Exception):
    """Stands for a kill right after an epoch."""


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: next(iter(variant)))
def test_a_resumed_training_ends_with_the_same_bits(
    pets: Splits, tmp_path: Path, variant: dict
) -> None:
    settings = FineTuning(epochs=2, batch_size=6, **variant)
    small = pets.train.subset(range(0, 16, 2)), pets.valid.subset([0, 5])
    few = replace(pets, train=small[0], valid=small[1], test=None)

    def run(checkpoint: Path | None, stop: bool = False) -> str:
        def report(history: train.History) -> None:
            if stop:
                raise Stopped

        made = train.transfer(
            few, "small_resnet", fine_tune="all", fine_tuning=settings, layers="last", seed=5,
            preprocessing=SMALL, report=report, checkpoint=checkpoint, **EXACT,
        )  # fmt: skip
        return digest(made.backbone) + digest(made.head)

    whole = run(None)
    with pytest.raises(Stopped):
        run(tmp_path / "training.pt", stop=True)
    torch.manual_seed(99)  # the process that continues had other random numbers
    assert run(tmp_path / "training.pt") == whole
    with pytest.raises(InputError, match="belongs to a training with other data or settings"):
        train.fine_tune(
            few, "small_resnet", FineTuning(epochs=2), layers="last", seed=5, preprocessing=SMALL,
            checkpoint=tmp_path / "training.pt", **EXACT,
        )  # fmt: skip
    with pytest.raises(InputError, match="belongs to a training with other data or settings"):
        train.fine_tune(
            few, "small_resnet", settings, layers="last", seed=5, preprocessing=SMALL,
            checkpoint=tmp_path / "training.pt", device="cpu", precision="bf16",
        )  # fmt: skip


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize(
    "options", [{}, {"head": "hidden"}, {"fine_tune": "last"}, {"fine_tune": "all"}]
)
def test_an_empty_part_is_named(pets: Splits, part: str, options: dict) -> None:
    empty = replace(pets, **{part: getattr(pets, part).subset([])})
    with pytest.raises(InputError, match=f"has no photo in {part}, to"):
        train.transfer(empty, "small_resnet", **options)


def test_progress_counts_photos(pets: Splits) -> None:
    reported: list[tuple[int, int]] = []
    net = network()
    settings = FineTuning(epochs=2, batch_size=6)
    loop.learn(
        net,
        views.train_batches(pets.train, SMALL, settings, seed=0),
        data.loader(pets.valid, SMALL),
        settings,
        num_classes=2,
        loss=nn.CrossEntropyLoss(),
        precision="fp32",
        progress=lambda done, total: reported.append((done, total)),
    )
    assert [done for done, _ in reported] == [6, 12, 16, 22, 28, 32]
    assert {total for _, total in reported} == {32}


def test_progress_may_count_epochs(pets: Splits) -> None:
    """Photos seen in training are not mixed up with those that have features."""
    passes: list[int] = []
    epochs: list[tuple[int, int, int]] = []

    class ByEpochs:
        def __call__(self, done: int, total: int) -> None:
            passes.append(total)

        def training(self, seen: int, size: int, epochs_in_all: int) -> None:
            epochs.append((seen, size, epochs_in_all))

    for tuned in (
        {"preset": "best"},
        {"fine_tune": "all", "fine_tuning": FineTuning(epochs=2, batch_size=8)},
    ):
        epochs.clear()
        train.transfer(
            pets, "small_resnet", preprocessing=SMALL, **EXACT, **tuned, progress=ByEpochs()
        )
        (last,) = {(size, in_all) for _, size, in_all in epochs}
        assert last == (16, last_stage.EPOCHS if "preset" in tuned else 2)
        assert [seen for seen, _, _ in epochs][-1] == 16 * last[1]
    assert max(passes) <= len(pets.train) + len(pets.valid)


def test_bf16_trains_too(pets: Splits) -> None:
    settings = FineTuning(epochs=1, batch_size=8)
    made = loop.learn(
        network(),
        views.train_batches(pets.train, SMALL, settings, seed=0),
        data.loader(pets.valid, SMALL),
        settings,
        num_classes=2,
        loss=nn.CrossEntropyLoss(),
        precision="bf16",
    )
    assert made.best is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 up, not 0"),
        ({"layer_decay": 0}, "layer_decay must be a number above 0, at most 1"),
        ({"unfreeze_epochs": -1}, "unfreeze_epochs must be a whole number from 0 up"),
        ({"schedule": "step"}, 'schedule must be "cosine", "one-cycle" or "constant", not "step"'),
        ({"mix": None}, 'mix must be "none", "mixup", "cutmix" or "both", not None'),
        ({"label_smoothing": 1}, "label_smoothing must be at least 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FineTuning(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fine_tune": "some"}, 'fine_tune must be "none", "last" or "all", not "some"'),
        ({"fine_tune": "all", "head": "ridge"}, 'fine_tune "all" needs the linear head'),
        ({"fine_tuning": FineTuning()}, 'have no effect without fine_tune "all"'),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    pets: Splits, given: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train.transfer(pets, "small_resnet", **given)


def test_best_tunes_the_last_stage_unless_asked_otherwise(pets: Splits) -> None:
    def weights(**given: str) -> str:
        made = train.transfer(pets, "small_resnet", preprocessing=SMALL, **given, **EXACT)
        assert made.results["fine_tuning"]["what"] == given.get("fine_tune", "last")
        return made.backbone.weights

    assert weights(preset="best") == "small, last stage tuned"
    assert weights(preset="best", fine_tune="none") == "small"


# ------------------------------------------------------------ learning-rate finder, views at test


def test_the_search_finds_a_rate_and_leaves_no_trace() -> None:
    labels = torch.arange(96) % 3
    values = torch.eye(3)[labels] * 2 + torch.randn(
        96, 3, generator=torch.Generator().manual_seed(0)
    )
    batches = train.FeatureBatches(values, labels, 8, shuffle=True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.1), nn.Linear(16, 3)).eval()
    before, state = digest(model), torch.get_rng_state()
    found = train.find_learning_rate(model, batches, loss=nn.CrossEntropyLoss(), highest=100.0)
    assert 1e-3 < found.suggestion < 1
    assert digest(model) == before and not model.training and batches.epoch == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert list(found.rates) == sorted(found.rates)
    assert len(found.rates) == len(found.losses) < 100  # it ends where the loss is out of hand


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_search_leaves_the_order_of_a_plain_loader(shuffle: bool) -> None:
    """With a generator of its own, as torch's tutorials have it, for the loader or its sampler."""
    photos = TensorDataset(torch.randn(40, 3), torch.arange(40) % 2)
    generator = torch.Generator().manual_seed(3)
    sampler = None if shuffle else RandomSampler(photos, generator=generator)
    batches = DataLoader(
        photos, 8, shuffle=shuffle, sampler=sampler, generator=generator if shuffle else None
    )
    before = generator.get_state()
    train.find_learning_rate(nn.Linear(3, 2), batches, loss=nn.CrossEntropyLoss(), steps=12)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowest": 0.0}, "must rise from above 0"),
        ({"lowest": 1.0, "highest": 0.1}, "must rise"),
        ({"steps": 3}, "10 steps or more, not 3"),
        ({"batches": []}, "there are no batches"),
    ],
)
def test_impossible_searches_are_refused(given: dict, message: str) -> None:
    batches = given.pop("batches", [batch()])
    with pytest.raises(InputError, match=message):
        train.find_learning_rate(network(), batches, loss=nn.CrossEntropyLoss(), **given)


def test_views_at_test_time_are_averaged(tuned: Classifier, pets: Splits) -> None:
    found = train.averaged_logits(tuned, pets.test, views=2, seed=1, **EXACT)
    assert found.shape == (len(pets.test), 2)
    assert torch.allclose(found.exp().sum(1), torch.ones(len(found)), atol=1e-5)
    assert torch.equal(found, train.averaged_logits(tuned, pets.test, views=2, seed=1, **EXACT))
    plain = tuned.evaluate(pets.test, **EXACT)
    assert not torch.allclose(found, plain.logits.log_softmax(1), atol=1e-3)
    assert metrics.accuracy(found, plain.labels) >= 0.5
    with pytest.raises(InputError, match="views must be a whole number from 1 up, not 0"):
        train.averaged_logits(tuned, pets.test, views=0)
