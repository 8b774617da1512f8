"""Pictures with labels, and batches that do not depend on the number of worker processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate, random_split

from flowerlib import data
from flowerlib.data import BalancedOrder, Photos, RandomViews, Views, class_weights, join, loader
from flowerlib.data.decoding import images
from flowerlib.data.decoding.images import PhotoError
from flowerlib.support.errors import InputError
from flowerlib.transforms import Augmentation, Preprocessing

PREPROCESSING = Preprocessing(32, 32)


def drawn(count: int = 9) -> Photos:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return Photos(pictures, np.arange(count) % 3, ("a", "b", "c"))


def test_files_and_arrays_answer_alike(flower_folder: Path) -> None:
    files = data.image_folder(flower_folder).test
    assert files is not None
    array = Photos(
        np.stack([np.asarray(files.image(i)) for i in range(len(files))]),
        files.labels,
        files.class_names,
    )
    assert len(files) == len(array) == 12
    assert np.array_equal(np.asarray(files.image(5)), np.asarray(array.image(5)))
    assert files.name(0).endswith("daisy_11.jpg") and array.name(0) == "picture 0"
    assert files.class_name(11) == array.class_name(11) == "rose"
    assert files.counts().tolist() == [3, 3, 3, 3]


def test_subset_keeps_pictures_and_labels_together() -> None:
    photos = drawn()
    some = photos.subset([7, 2])
    assert some.labels.tolist() == [1, 2]
    assert [some.digest(0), some.digest(1)] == [photos.digest(7), photos.digest(2)]
    assert len(photos.subset([])) == 0


def test_per_class_takes_so_many_of_each() -> None:
    photos = drawn()
    assert photos.per_class(2).counts().tolist() == [2, 2, 2]
    assert photos.subset([]).per_class(2).counts().tolist() == [0, 0, 0]
    assert photos.per_class(99).labels.tolist() == photos.labels.tolist()
    assert len(photos.per_class(0)) == 0
    for wrong in (-1, 1.5, None):
        with pytest.raises(InputError, match=f"per_class must be a whole number .* not {wrong}"):
            photos.per_class(wrong)
    digests = [
        [few.digest(i) for i in range(3)] for s in (0, 0, 1) if (few := photos.per_class(1, s))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_per_class_of_no_pictures_is_none() -> None:
    splits = data.garden("pets", per_class=(2, 1, 0), size=32)
    assert len(splits.test) == 0 and len(splits.test.per_class(3)) == 0
    assert splits.per_class((1, 1, 1)).sizes() == {"train": 2, "valid": 2, "test": 0}


def test_digests_tell_shapes_apart() -> None:
    wide, high = (Photos(np.zeros((1, *s, 3), np.uint8), [0], ["a"]) for s in ((4, 8), (8, 4)))
    assert wide.digest(0) != high.digest(0)


def test_join_and_unequal_lengths(flower_folder: Path) -> None:
    splits = data.image_folder(flower_folder)
    both = join(splits.train, splits.valid)
    assert len(both) == 44 and both.name(32) == splits.valid.name(0)
    assert len(join(drawn(3), drawn(4))) == 7
    with pytest.raises(ValueError, match="3 pictures but 2 labels"):
        Photos(drawn(3).contents, [0, 1], ("a", "b"))


def batches(workers: int, epoch: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    feed = loader(
        drawn(), Augmentation(PREPROCESSING), batch_size=4, shuffle=True, seed=3, workers=workers
    )
    feed.dataset.epoch = epoch
    return [(images.clone(), labels.clone()) for images, labels in feed]


def test_the_same_batches_for_any_number_of_workers() -> None:
    alone, two = batches(0), batches(2)
    assert [len(labels) for _, labels in alone] == [4, 4, 1]
    for (given, labels), (other, other_labels) in zip(alone, two, strict=True):
        assert torch.equal(given, other) and torch.equal(labels, other_labels)


def test_views_change_from_epoch_to_epoch_and_come_back() -> None:
    views = Views(drawn(), Augmentation(PREPROCESSING), seed=1)
    first = views[4][0]
    views.epoch = 1
    second = views[4][0]
    views.epoch = 0
    assert torch.equal(first, views[4][0]) and not torch.equal(first, second)
    assert not torch.equal(views[4][0], Views(drawn(), Augmentation(PREPROCESSING), 2)[4][0])


def test_evaluation_views_never_change() -> None:
    views = Views(drawn(), PREPROCESSING)
    first = views[0][0]
    views.epoch = 5
    assert torch.equal(first, views[0][0])


def test_a_broken_photo_is_named_by_the_worker(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear reader")
    photos = Photos([tmp_path / "letter.jpg"], [0], ["a"])
    with pytest.raises(PhotoError, match="letter.jpg: this is a text file"):
        next(iter(loader(photos, PREPROCESSING)))


def test_classes_are_chosen_by_name_and_relabelled() -> None:
    photos = drawn()
    some = photos.of_classes(["c", "a"])
    assert some.class_names == ("c", "a") and some.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert [some.digest(i) for i in range(6)] == [photos.digest(i) for i in (0, 2, 3, 5, 6, 8)]
    with pytest.raises(InputError, match='no class "d"; known: a, b, c'):
        photos.of_classes(["a", "d"])


def test_random_views_are_decided_by_photo_view_and_seed() -> None:
    photos, augmentation = drawn(3), Augmentation(PREPROCESSING)
    views = RandomViews(photos, augmentation, 2, seed=1)
    again = RandomViews(photos, augmentation, 3, seed=1)
    assert len(views) == 6 and views.labels.tolist() == [0, 1, 2] * 2
    pixels = [np.asarray(views.image(i)) for i in range(6)]
    assert all(np.array_equal(pixels[i], np.asarray(again.image(i))) for i in range(6))
    digests = {views.digest(i) for i in range(6)}
    assert len(digests) == 6 and digests == {again.digest(i) for i in range(6)}
    assert not digests & {RandomViews(photos, augmentation, 2).digest(i) for i in range(6)}
    assert not np.array_equal(pixels[1], pixels[4])  # two views of one photo


def test_a_subset_of_views_keeps_its_views() -> None:
    views = RandomViews(drawn(3), Augmentation(PREPROCESSING), 2)
    some = views.subset([4, 2]).subset([0])
    assert some.digest(0) == views.digest(4) and some.labels.tolist() == [1]
    assert np.array_equal(np.asarray(some.image(0)), np.asarray(views.image(4)))
    with pytest.raises(InputError, match="Random views cannot stand beside whole photos"):
        join(views, views)


def test_torchvisions_transforms_do_not_depend_on_workers() -> None:
    from torchvision.transforms import v2

    transform = v2.Compose([v2.RandomResizedCrop(16), v2.ToImage()])
    before = torch.random.get_rng_state()
    runs = [
        torch.cat([images for images, _ in loader(drawn(), transform, batch_size=4, workers=count)])
        for count in (0, 2)
    ]
    assert torch.equal(*runs)
    assert torch.equal(before, torch.random.get_rng_state())


def test_boolean_masks_and_positions_are_taken_as_numpy_takes_them() -> None:
    photos = drawn()
    for given in (np.arange(9) > 4, [True, *[False] * 8], [-1, 0], []):
        some = photos.subset(given)
        chosen = np.asarray(given) if len(given) else np.array([], int)
        assert some.labels.tolist() == photos.labels[chosen].tolist()
        assert np.array_equal(some.contents.array, photos.contents.array[chosen])
    views = RandomViews(photos, Augmentation(PREPROCESSING), 2)
    assert len(views.subset(np.arange(18) % 3 == 0)) == 6


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([True, False], "2 truth values cannot choose among 9"),
        ([0.0, 1.0], "float64"),
        ([9], "no photo 9 among 9"),
        ([-10], "no photo -10 among 9"),
        (["a"], "whole numbers"),
        ([[0, 1]], r"shape \(1, 2\)"),
        (3, r"shape \(\)"),
    ],
)
def test_what_chooses_no_photos_is_refused(given, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        drawn().subset(given)


def test_join_goes_by_the_names_of_the_classes() -> None:
    photos = drawn()
    other = photos.of_classes(("c", "a", "b"))
    joined = join(photos, other)
    assert [joined.class_name(9 + i) for i in range(9)] == [other.class_name(i) for i in range(9)]
    assert photos.class_names == ("a", "b", "c") and other.class_names == ("c", "a", "b")
    with pytest.raises(InputError, match="need the same classes; only one part has c"):
        join(photos, photos.of_classes(("a", "b")))


def test_photos_are_checked_and_share_no_labels() -> None:
    labels = np.zeros(2, np.int64)
    photos = Photos(["a.jpg", "b.jpg"], labels, ["a"])
    labels[:] = 7
    assert photos.labels.tolist() == [0, 0]
    for source, names, reason in (
        ("a.jpg", ["a"], "the one path 'a.jpg'"),
        (np.zeros((2, 3, 8, 8), np.uint8), ["a"], "photos, height, width, 3"),
        (np.zeros((2, 8, 8, 3)), ["a"], "of float64"),
        (["a.jpg", "b.jpg"], ["a", "a"], "same name"),
        ([Image.new("RGB", (4, 4))] * 2, ["a"], "given Image in place of a path; data.from_data"),
        (np.array([1, "a.jpg"], object), ["a"], "given int in place of a path"),
    ):
        with pytest.raises(InputError, match=reason):
            Photos(source, [0, 0], names)


def test_photos_can_be_copied_and_sent(flower_folder: Path) -> None:
    files = data.image_folder(flower_folder).train
    views = RandomViews(files, Augmentation(PREPROCESSING), 2)
    for photos in (files, files.subset([3, 1]), drawn(), views):
        photos.digests()
        for twin in (copy.deepcopy(photos), pickle.loads(pickle.dumps(photos))):
            assert np.array_equal(twin.digests(), photos.digests())
            assert twin.image(1).tobytes() == photos.image(1).tobytes()
            assert twin.name(1) == photos.name(1)


def test_a_picture_in_memory_that_changed_has_another_digest() -> None:
    photos = drawn()
    before, picture = photos.digest(0), photos.image(0)
    shown = picture.tobytes()
    photos.contents.array[0] += 1
    assert photos.digest(0) != before and picture.tobytes() == shown


@pytest.mark.parametrize("name", ["b\udcff.png", "a\nb.png"])
def test_any_name_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    try:
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    photos = Photos([tmp_path / name], [0], ["red"])
    assert photos.name(0) == str(tmp_path / name)
    picture, digest = photos.opened(0)
    assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert digest == photos.digest(0) == images.digest_of((tmp_path / name).read_bytes())


def test_photos_are_a_data_set_of_torch(flower_folder: Path) -> None:
    files = data.image_folder(flower_folder).train
    for photos in (files, drawn(), RandomViews(drawn(), Augmentation(PREPROCESSING), 2)):
        assert isinstance(photos, Dataset)
        picture, label = photos[1]
        assert picture.dtype == torch.uint8 and label == photos.labels[1]
        assert np.array_equal(picture.permute(1, 2, 0), np.asarray(photos.image(1)))
        assert torch.equal(photos[-1][0], photos[len(photos) - 1][0])
        with pytest.raises(IndexError):
            photos[len(photos)]
        batch, labels = default_collate([photos[0], photos[3]])
        assert batch.shape[:2] == (2, 3) and labels.tolist() == photos.labels[[0, 3]].tolist()
        assert len([*photos]) == len(photos)
    batches = [labels for _, labels in DataLoader(drawn(), batch_size=4, num_workers=1)]
    assert torch.cat(batches).tolist() == drawn().labels.tolist()
    assert [len(part) for part in random_split(drawn(), [5, 4])] == [5, 4]


def test_views_are_a_data_set_of_torch() -> None:
    views = Views(drawn(), PREPROCESSING)
    assert isinstance(views, Dataset)
    images, labels = default_collate([views[0], views[4]])
    assert images.shape == (2, 3, 32, 32) and labels.tolist() == [0, 1]


def test_files_and_pictures_in_memory_can_be_joined(flower_folder: Path) -> None:
    files = data.image_folder(flower_folder).valid
    array = np.stack([np.asarray(files.image(i)) for i in range(2)])
    for other in (array, array[:, :32]):
        both = join(files, Photos(other, files.labels[:2], files.class_names)).subset([11, 12, 13])
        assert both.name(0) == files.name(11) and both.name(1) == "picture 0"
        assert both.digest(0) == files.digest(11) and len(set(both.digests())) == 3
        assert np.array_equal(np.asarray(both.image(2)), other[1])
        assert pickle.loads(pickle.dumps(both)).digests().tolist() == both.digests().tolist()


def test_random_views_are_one_or_more_of_each_photo(flower_folder: Path) -> None:
    photos = data.image_folder(flower_folder).train
    with pytest.raises(InputError, match="count must be 1 or more, not -1"):
        RandomViews(photos, Augmentation(PREPROCESSING), -1)


def test_random_views_are_no_training_set_for_transfer(flower_folder: Path) -> None:
    splits = data.image_folder(flower_folder)
    views = RandomViews(splits.train, Augmentation(PREPROCESSING), 2)
    with pytest.raises(InputError, match="cut to the network's input already"):
        join(views, splits.valid)


def test_classes_weigh_alike_however_few_their_photos() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    assert class_weights(labels).tolist() == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    assert class_weights([0, 0, 2], 4).tolist() == [0.75, 0.0, 1.5, 0.0]
    for given, count in (([], None), ([0.5], None), ([-1], None), ([3], 3)):
        with pytest.raises(InputError):
            class_weights(given, count)


def test_a_picture_that_a_balanced_order_repeats_is_another_view_each_time() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    photos = Photos(pixels, [0] * 19 + [1], ["often", "rare"])
    augmentation = Augmentation(Preprocessing(8, 8))
    images, labels = next(iter(loader(photos, augmentation, batch_size=20, balanced=True)))
    rare = images[labels == 1]
    assert len(rare) > 5 and len(rare.unique(dim=0)) == len(rare)


def test_a_balanced_order_draws_each_class_equally_often() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    order = BalancedOrder(labels, seed=3)
    first, second = list(order), list(order)
    assert len(first) == len(order) == 1000 and first != second
    assert first == list(BalancedOrder(labels, seed=3))
    assert np.bincount(labels[first]).min() > 280
    drawn_few = Photos(np.zeros((1000, 4, 4, 3), np.uint8), labels, ("a", "b", "c"))
    feed = loader(drawn_few, Preprocessing(4, 4), balanced=True, seed=3)
    assert torch.cat([found for _, found in feed]).tolist() == labels[first].tolist()


def test_the_light_half_of_the_package_does_without_torch() -> None:
    modules = ["audit", "data.sources.downloads", "data.sources.named_sets", "data.depth"]
    modules += ["data.folders.naming", "data.splitting.division"]
    program = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(f"flowerlib.{{name}}")
from flowerlib import data
data.home(), data.FileCounts
assert "torch" not in sys.modules
assert data.Photos.__module__ == "flowerlib.data.photos"
assert all(hasattr(data, name) for name in data.__all__) and not hasattr(data, "nothing")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_splits_with_few_pictures_of_each_class() -> None:
    splits = data.garden("pets", per_class=(5, 3, 2), size=32)
    few = splits.per_class((2, 1, 9))
    assert few.sizes() == {"train": 4, "valid": 2, "test": 4}
    assert few.train.counts().tolist() == [2, 2] and few.class_names == splits.class_names
    assert np.array_equal(few.train.digests(), splits.train.per_class(2).digests())
