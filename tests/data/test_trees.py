"""Any tree of folders: every file is used, or counted by kind, and all commands count alike.

The files hold a few bytes that no picture begins with, or none: nothing here is decoded.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowerlib import data
from flowerlib.data.folders import listing, naming, reading
from flowerlib.support.errors import InputError

PHOTO_NAMES = ["a.jpg", "b.JPG", "c.jfif", "d.png", "e.pgm", "f.avif", "photo.0001", "g", "h.tif"]
OTHER_NAMES = [
    "a.heic", "IMG.DNG", "notes.txt", "labels.csv", ".hidden.jpg", "._a.jpg", ".DS_Store",
    "Thumbs.db", "desktop.ini", "README", "x.jpg~", "cat_to_name.json", "a.jpg.part",
]  # fmt: skip
IGNORED_FOLDERS = ["@eaDir", ".thumbnails", "System Volume Information", "__MACOSX", ".git", ".a"]
SPLIT_NAMES = ["train", "Training", "TEST", "test_set", "valid", "Val", "validation", "seg_train"]
CLASS_NAMES = ["cat", "dog", "Dog", "dog ", "P\u00e2querette", "Pa\u0302querette", "1", "bus.jpg"]

Tree = dict[str, "Tree | None"]  # a folder's names; None for a file

files = st.dictionaries(st.sampled_from(PHOTO_NAMES + OTHER_NAMES), st.none(), max_size=4)
trees = st.recursive(
    files,
    lambda inner: st.builds(
        lambda folders, here: {**here, **folders},
        st.dictionaries(
            st.sampled_from(SPLIT_NAMES + CLASS_NAMES + IGNORED_FOLDERS), inner, max_size=4
        ),
        files,
    ),
    max_leaves=12,
)
photos = st.dictionaries(st.sampled_from(PHOTO_NAMES), st.none(), min_size=3, max_size=5)
# Most of all trees are refused; of these, most are not.
good = st.builds(
    lambda splits, classes, inside, junk: {
        **junk,
        **({split: dict(classes) for split in splits} if splits else classes),
        **inside,
    },
    st.sampled_from([(), ("train", "TEST"), ("Training", "val", "test_set"), ("learn", "dev")]),
    st.dictionaries(st.sampled_from(CLASS_NAMES[:3] + CLASS_NAMES[4:5]), photos, min_size=2),
    st.dictionaries(st.sampled_from([*IGNORED_FOLDERS, "old_test", "extra"]), trees, max_size=2),
    files,
)


def plant(root: Path, tree: Tree) -> None:
    root.mkdir(exist_ok=True)
    for name, inside in tree.items():
        if inside is not None:
            plant(root / name, inside)
        elif name in PHOTO_NAMES:
            (root / name).write_bytes(b"\xff\xd8\xff" + os.fsencode(root / name))
        else:
            (root / name).touch()


def all_files(root: Path) -> int:
    """Counted without the code under test; the list of names in the root is neither."""
    count = sum(len(names) for _, _, names in os.walk(root))
    return count - (root / listing.NAMES).is_file()


def used(splits: data.Splits) -> int:
    return sum(splits.sizes().values())


def check_tree(root: Path) -> bool:
    """Whether the folder can be trained on; compares what all the commands count."""
    total = all_files(root)
    listed = listing.read(root)
    every = [*listed.folder.below()]
    counts = listed.counts()  # what prediction uses
    assert counts.used == len(every) == len(set(every)) and all(map(os.path.isfile, every))
    assert counts.used + sum(counts.left_out.values()) == total
    surveyed = naming.survey(listing.read(root))  # what check looks at
    checked = surveyed.counts()
    assert checked.used + sum(checked.left_out.values()) == total
    left = [path for paths in surveyed.listing.left_out.values() for path in paths]
    assert len(left) == len(set(left)) and all((root / path).is_file() for path in left)
    try:
        splits = reading.read_folder(root)
    except InputError as problem:
        assert surveyed.problems or "different photos" in str(problem)
        assert str(problem).endswith((".", "?")) and "\n" not in str(problem)
        return False
    assert surveyed.problems == [] and splits.files == checked and used(splits) == checked.used
    test = surveyed.places.get("test")
    place = Path(test.prefix) if test else root
    if test or "" in surveyed.places:
        evaluated, found, _ = data.labeled_photos(place, splits.class_names)
        assert found.used + sum(found.left_out.values()) == all_files(place)
        assert len(evaluated) == found.used == (len(splits.test) if test else used(splits))
    assert splits.notes == tuple(surveyed.notes)
    return True


@pytest.mark.filterwarnings("error")
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(tree=st.one_of(good, trees))
@example(
    tree={"cat": {"a.jpg": None}, "@eaDir": {"dog": {"a.jpg": None}}, ".git": {"x": {"y": None}}}
)
def test_every_file_is_used_or_counted(
    tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree") / "photos"
    plant(root, tree)
    check_tree(root)
