"""The loop keeps the best epoch, stops in time, refuses mistakes, and repeats itself exactly."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flowerlib import data, metrics, models, train
from flowerlib.support import options
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing


def points(count: int = 61, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return torch.eye(3)[labels] * 2 + torch.randn(count, 3, generator=generator), labels


def batches(seed: int = 0, size: int = 20, shuffle: bool = True) -> train.FeatureBatches:
    return train.FeatureBatches(*points(seed=seed), size, shuffle=shuffle)


def head(seed: int = 0, dropout: float = 0.2) -> nn.Sequential:
    torch.manual_seed(seed)
    return models.hidden_head(3, 3, (32,), dropout)


def test_it_learns_and_tells() -> None:
    model, reported = head(), []
    history = train.fit(
        model, batches(), batches(1), epochs=6, report=lambda h: reported.append(len(h.rows))
    )
    assert reported == [1, 2, 3, 4, 5, 6]
    assert set(history.rows[0]) == {
        "epoch",
        "train_loss",
        "valid_loss",
        "valid_accuracy",
        "seconds",
    }
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4, 5, 6]
    assert history.rows[-1]["train_loss"] < history.rows[0]["train_loss"]
    assert history.rows[-1]["valid_accuracy"] > 0.6
    assert not model.training


def test_the_best_epoch_is_kept() -> None:
    model = head()
    history = train.fit(model, batches(size=4), batches(1), epochs=12, lr=0.1)  # overshoots
    losses = [row["valid_loss"] for row in history.rows]
    assert history.best_epoch == losses.index(min(losses)) + 1 < 12
    loss, accuracy = train.evaluate(model, batches(1, shuffle=False), nn.NLLLoss())
    assert loss == pytest.approx(min(losses), abs=1e-6)
    assert accuracy == history.rows[history.best_epoch - 1]["valid_accuracy"]


def test_patience_stops() -> None:
    history = train.fit(head(), batches(size=4), batches(1), epochs=50, lr=0.1, patience=2)
    assert len(history.rows) == history.best_epoch + 2 < 50


def test_figures_are_over_samples_not_means_of_batches() -> None:
    model = head(dropout=0)
    values, labels = points()
    loss, accuracy = train.evaluate(model, batches(size=60, shuffle=False), nn.NLLLoss())
    with torch.no_grad():
        outputs = model(values)
    assert loss == pytest.approx(float(nn.functional.nll_loss(outputs, labels)), abs=1e-6)
    assert accuracy == metrics.accuracy(outputs, labels)
    # With steps too small to matter, the training loss is the same mean, last batch of one or not.
    history = train.fit(model, batches(size=60, shuffle=False), batches(1), epochs=1, lr=1e-9)
    assert history.rows[0]["train_loss"] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(torch.tensor([1.0, 10.0, 0.1])),
        nn.CrossEntropyLoss(torch.tensor([1.0, 10.0, 0.1]), label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=1),
        nn.NLLLoss(torch.tensor([1.0, 10.0, 0.1]), ignore_index=2),
    ],
    ids=["plain", "weights", "weights and smoothing", "ignored", "both"],
)
def test_train_and_valid_loss_are_the_same_mean(loss: nn.Module) -> None:
    model = head(dropout=0)
    values, labels = points()
    order = labels.argsort()  # batches of different weights, the last one of one sample
    feed = train.FeatureBatches(values[order], labels[order], 12, shuffle=False)
    with torch.no_grad():
        outputs = model(values)
    expected = float(loss(outputs, labels))
    counted = labels != loss.ignore_index
    value, accuracy = train.evaluate(model, feed, loss)
    assert value == pytest.approx(expected, rel=1e-5)
    assert accuracy == metrics.accuracy(outputs[counted], labels[counted])
    history = train.fit(model, feed, feed, epochs=1, lr=1e-9, loss=loss)
    assert history.rows[0]["train_loss"] == pytest.approx(expected, rel=1e-4)


def test_mixed_labels_train_and_are_measured_by_class_numbers_only() -> None:
    values, labels = points()
    mixed = nn.functional.one_hot(labels, 3) * 0.9 + 0.1 / 3
    model, loss = nn.Sequential(nn.Linear(3, 3)), nn.CrossEntropyLoss(torch.tensor([1.0, 9, 1]))
    with torch.no_grad():
        expected = float(loss(model(values), mixed))
    feed = train.FeatureBatches(values, mixed, 25, shuffle=False)
    history = train.fit(model, feed, batches(1), epochs=1, lr=1e-9, loss=loss)
    assert history.rows[0]["train_loss"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match="labels"):
        train.evaluate(model, feed, loss)


def test_nothing_to_measure_is_said_in_a_sentence() -> None:
    inputs, labels = torch.rand(4, 3), torch.tensor([0, 1, 0, 1])
    with pytest.raises(InputError, match="nothing to measure: there are no batches"):
        train.evaluate(nn.Linear(3, 2), [], nn.CrossEntropyLoss())
    once = ((inputs, labels) for _ in range(2))
    with pytest.raises(InputError, match="a generator gives them only once"):
        train.fit(models.hidden_head(3, 2), [(inputs, labels)], once, epochs=2)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_loss_that_is_no_mean_is_refused(reduction: str) -> None:
    loss = nn.NLLLoss(reduction=reduction)
    model = head()
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(InputError, match=f'NLLLoss has reduction="{reduction}"'):
        train.fit(model, batches(), batches(1), loss=loss)
    assert all(map(torch.equal, before, model.parameters()))
    with pytest.raises(InputError, match="mean loss"):
        train.evaluate(model, batches(), loss)


def test_no_training_batches_are_refused() -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train.fit(head(), [], batches(1))


def test_a_model_without_parameters_is_measured_on_the_processor() -> None:
    logits, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    expected = float(nn.functional.cross_entropy(logits, labels))
    found = train.evaluate(nn.Identity(), [(logits, labels)], nn.CrossEntropyLoss())
    assert found == (pytest.approx(expected), 0.75)
    scaled = nn.Sequential(nn.BatchNorm1d(4, affine=False))  # buffers, but no parameters
    assert train.evaluate(scaled, [(logits, labels)], nn.CrossEntropyLoss())[1] == 0.75


def test_a_model_that_cannot_learn_is_refused_in_one_sentence() -> None:
    frozen = head()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    for model in (nn.Sequential(nn.LogSoftmax(1)), frozen):
        with pytest.raises(InputError, match="no parameters that require a gradient"):
            train.fit(model, batches(), batches(1))
        with pytest.raises(InputError, match="no parameters that require a gradient"):
            train.find_learning_rate(model, batches())


def test_images_are_measured_in_parts_that_fit_the_cache_and_features_at_once() -> None:
    sizes: list[int] = []
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    model[0].register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    labels = torch.arange(20) % 2
    for side, parts in ((160, [8, 8, 4]), (32, [20]), (1000, [1] * 20)):
        sizes.clear()
        images = torch.rand(20, 3, side, side, generator=torch.Generator().manual_seed(0))
        loss, accuracy = train.evaluate(model, [(images, labels)], nn.CrossEntropyLoss())
        assert sizes == parts
        with torch.no_grad():
            outputs = model(images)
        expected = float(nn.functional.cross_entropy(outputs, labels))
        assert loss == pytest.approx(expected, abs=1e-6)
        assert accuracy == metrics.accuracy(outputs, labels)
    head = nn.Sequential(nn.Linear(3, 2))
    head.register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    sizes.clear()
    rows = torch.rand(100_000, 3)
    train.evaluate(head, [(rows, torch.arange(len(rows)) % 2)], nn.CrossEntropyLoss())
    assert sizes == [len(rows)]


def test_the_same_seed_gives_the_same_weights() -> None:
    def once(seed: int) -> Tensor:
        model = head(seed)
        feed = train.FeatureBatches(*points(), 20, shuffle=True, seed=seed)
        train.fit(model, feed, batches(1), epochs=3)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(once(1), once(1)) and not torch.equal(once(1), once(2))


def test_batches_hold_every_sample_once_in_a_new_order() -> None:
    feed = batches()
    passes = [torch.cat([values[:, 0] for values, _ in feed]) for _ in range(2)]
    assert len(feed) == 4 == len(list(feed)) and [len(y) for _, y in feed] == [20, 20, 20, 1]
    assert not torch.equal(*passes) and torch.equal(passes[0].sort()[0], passes[1].sort()[0])
    assert torch.equal(next(iter(batches(shuffle=False)))[1], points()[1][:20])


@pytest.mark.parametrize(
    ("end", "loss", "message"),
    [
        (nn.Identity(), nn.NLLLoss(), "NLLLoss needs log-probabilities"),
        (nn.Softmax(1), nn.CrossEntropyLoss(), "CrossEntropyLoss needs logits"),
        (nn.Softmax(1), nn.NLLLoss(), "NLLLoss needs log-probabilities"),
    ],
)
def test_outputs_and_loss_that_do_not_fit_are_refused(
    end: nn.Module, loss: nn.Module, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train.fit(nn.Sequential(nn.Linear(3, 3), end), batches(), batches(1), loss=loss)


@pytest.mark.parametrize("end", [nn.Identity(), nn.LogSoftmax(1)])
def test_cross_entropy_takes_logits_and_log_probabilities(end: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 3), end)
    train.fit(model, batches(), batches(1), epochs=1, loss=nn.CrossEntropyLoss())


def test_a_loss_out_of_hand_is_refused() -> None:
    values, labels = points()
    feed = train.FeatureBatches(values * float("inf"), labels, shuffle=False)
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(InputError, match="not finite in epoch 1; lower the learning rate"):
        train.fit(model, feed, batches(1), epochs=1, loss=nn.CrossEntropyLoss())


@pytest.mark.parametrize("workers", [0, 2])
def test_training_on_views_does_not_depend_on_workers(workers: int) -> None:
    """The whole network, random views, a last batch of one: the result is the one written here."""
    splits = data.garden(per_class=(3, 1, 0), size=32, num_classes=3)
    preprocessing = Preprocessing(32, 32)

    def once(workers: int) -> tuple[list[float], Tensor]:
        torch.manual_seed(0)
        network = models.SmallCNN(3, size=32, dropout=0)
        feed = data.loader(
            splits.train, Augmentation(preprocessing), batch_size=4, shuffle=True, workers=workers
        )
        assert [len(labels) for _, labels in feed] == [4, 4, 1]
        check = data.loader(splits.valid, preprocessing, workers=workers)
        history = train.fit(network, feed, check, epochs=2, loss=nn.CrossEntropyLoss())
        return [row["train_loss"] for row in history.rows], network.head[-1].weight

    losses, weight = once(workers)
    expected_losses, expected_weight = once(0)
    assert losses == expected_losses and torch.equal(weight, expected_weight)


def test_history_is_written_as_csv(tmp_path: Path) -> None:
    history = train.fit(head(), batches(), batches(1), epochs=2)
    history.save(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["valid_loss"]) for row in rows] == [row["valid_loss"] for row in history.rows]
    with pytest.raises(InputError, match="No epoch has ended yet"):
        train.History(2).save(tmp_path / "empty.csv")
    assert not (tmp_path / "empty.csv").exists()


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("kind", options.HEAD.words)
def test_three_lines_for_a_borrower(flower_folder: Path, kind: str) -> None:
    splits = data.image_folder(flower_folder)
    classifier = train.transfer(splits, backbone="small_densenet", head=kind)
    answer = classifier.predict(splits.test.name(0), top_k=2)

    assert answer.names[0] in splits.class_names and len(answer.probabilities) == 2
    assert classifier.evaluate(splits.test).accuracy >= 0.75
    assert classifier.class_names == ("daisy", "iris", "lily", "rose")
    assert classifier.results["head"]["kind"] == kind
    assert (
        classifier.results["valid"]["interval"][0] < classifier.results["valid"]["accuracy"] + 1e-9
    )
    assert classifier.history.best_epoch >= 1


@pytest.mark.usefixtures("own_cache")
def test_the_test_set_is_not_touched(flower_folder: Path) -> None:
    splits = data.image_folder(flower_folder)
    poisoned = data.Splits(
        splits.train,
        splits.valid,
        data.Photos(["not there.jpg"], [0], splits.class_names),
        splits.class_names,
        "x",
        "photos",
        "",
    )
    train.transfer(poisoned, backbone="small_densenet")


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("head", [{}, {"head": "hidden", "hidden": 16, "epochs": 2}])
def test_transfer_repeats_itself(flower_folder: Path, head: dict) -> None:
    splits = data.image_folder(flower_folder)
    heads = [train.transfer(splits, "small_densenet", seed=3, **head).head for _ in range(2)]
    assert torch.equal(heads[0][0].weight, heads[1][0].weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "deep"}, 'head must be "linear", "ridge" or "hidden"'),
        ({"head": "hidden", "hidden": 0}, "hidden must be a whole number from 1 up, not 0"),
        ({"head": "hidden", "hidden": ()}, "hidden must name the size of one layer"),
        ({"head": "hidden", "hidden": (8, 2.5)}, "hidden must be a whole number"),
        ({"head": "hidden", "hidden": "512"}, "hidden must be a whole number .*, not '512'"),
        ({"head": "hidden", "dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"head": "hidden", "epochs": 0}, "epochs must be a whole number from 1 up"),
        ({"head": "hidden", "epochs": 2.5}, "epochs must be a whole number from 1 up, not 2.5"),
        ({"head": "hidden", "epochs": True}, "epochs must be a whole number"),
        ({"head": "hidden", "batch_size": 0}, "batch_size must be a whole number from 1 up"),
        ({"head": "hidden", "lr": -1.0}, "lr must be a number above 0"),
        ({"head": "hidden", "lr": float("nan")}, "lr must be a number above 0"),
        ({"head": "hidden", "lr": float("inf")}, "lr must be a number above 0"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"epochs": 10}, 'epochs has no effect on the linear head, .* choose the head "hidden"'),
        (
            {"head": "ridge", "lr": 0.1, "hidden": 8, "batch_size": 4, "dropout": 0.5},
            "hidden, dropout, lr, batch_size have no effect on the ridge head",
        ),
        ({"preset": "quick", "preprocessing": Preprocessing(64, 64)}, '"quick" has no effect'),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_impossible_settings_are_refused(flower_folder: Path, options: dict, message: str) -> None:
    splits = data.image_folder(flower_folder)
    with pytest.raises(InputError, match=message):
        train.transfer(splits, "small_densenet", **options)


def test_what_has_no_effect_on_a_built_backbone_is_refused(flower_folder: Path) -> None:
    splits, plain = data.image_folder(flower_folder), models.backbone("small_resnet", "none")
    with pytest.raises(InputError, match="weights has no effect on a backbone that was built"):
        train.transfer(splits, plain, weights="small")
    with pytest.raises(InputError, match="give models.last_layer"):
        train.transfer(splits, models.multi_level(plain), layers="last")


def test_features_kept_in_16_bits_come_as_layers_expect_them() -> None:
    values, labels = torch.randn(10, 4), torch.arange(10)
    for kind, given in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        ((found, _),) = train.FeatureBatches(values.to(kind), labels, 10, shuffle=False)
        assert found.dtype == given and torch.equal(found, values.to(kind).to(given))


@pytest.mark.parametrize(
    ("given", "mode"),
    [({}, "squash"), ({"resize_mode": "crop"}, "crop"), ({"resize_mode": "pad"}, "pad")],
)
def test_a_resize_mode_that_is_asked_for_holds(given: dict[str, str], mode: str) -> None:
    """Also where a network's weights were tested with squashed photos, as some of timm's."""
    splits = data.garden("pets", per_class=(4, 2, 2), size=40, height=24)
    squashed = Preprocessing(32, 32).squashed()
    made = train.transfer(
        splits, "small_resnet", preprocessing=squashed, device="cpu", precision="fp32", **given
    )
    assert made.preprocessing.resize_mode == mode and made.preprocessing.crop == 32
