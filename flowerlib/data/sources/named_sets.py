"""The published data sets by name: where their photos are looked for, and how they are fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from flowerlib.data.sources import cifar, oxford
from flowerlib.support import storage
from flowerlib.support.errors import InputError


class NamedSet(NamedTuple):
    """What is known of a data set.

    Attributes:
        folders: names that its folder may have.
        drawn: the kind of pictures that the garden draws in its place.
        by_hand: where its photos come from, if no command fetches them.
    """

    folders: tuple[str, ...]
    drawn: str
    by_hand: str = ""


SETS = {
    # The Udacity arrangement, and torchvision's download.
    "flowers": NamedSet(("flowers", "flowers-102"), "flowers"),
    "cifar10": NamedSet(("cifar10",), "things"),
    "dogs_vs_cats": NamedSet(
        ("dogs_vs_cats", "dogscats"),
        "pets",
        "Kaggle (Dogs vs. Cats) and Microsoft (Kaggle Cats and Dogs Dataset) give the photos to "
        "those who accept their terms; put them into dogs_vs_cats/{train,valid,test}/{cats,dogs}/",
    ),
    "beds_and_sofas": NamedSet(
        ("beds_and_sofas", "bed_sofa"),
        "furniture",
        "there is no published set; put photos of beds and sofas into "
        "beds_and_sofas/{learn,test}/{bed,sofa}/",
    ),
}


def home() -> Path:
    """The folder that holds real data sets; it may not exist.

    It is the one that `FLOWERLIB_DATA` names. Otherwise it is the nearest data/: in the working
    directory, or in a folder above it that holds notebooks/, too, so that a lesson finds what was
    downloaded in the project's folder. Otherwise it is data/ in the working directory.
    """
    if chosen := storage.folder_from("FLOWERLIB_DATA"):
        return chosen
    here = Path.cwd()
    projects = (above for above in here.parents if (above / "notebooks").is_dir())
    places = [folder / "data" for folder in (here, *projects)]
    return next((place for place in places if place.is_dir()), places[0])


def find(name: str) -> Path | None:
    """The folder in `home` that holds the named data set, or None.

    Raises:
        InputError: `FLOWERLIB_DATA` names a folder that does not exist.
    """
    root = home()
    if os.environ.get("FLOWERLIB_DATA") and not root.is_dir():
        raise InputError(f"FLOWERLIB_DATA names {root}, which is not a folder; mend or unset it.")
    places = (root / folder for folder in SETS[name].folders)
    return next((place for place in places if place.is_dir()), None)


def folder_for(name: str, pictures: str) -> Path | None:
    """The folder of a data set's photos, or None where they are drawn, as `pictures` says.

    Raises:
        InputError: `pictures` is unknown, or "photos" and they are not there.
    """
    if pictures not in ("auto", "photos", "drawn"):
        raise InputError(f'pictures must be "auto", "photos" or "drawn", not "{pictures}".')
    folder = None if pictures == "drawn" else find(name)
    if folder is None and pictures == "photos":
        source = " (from FLOWERLIB_DATA)" if os.environ.get("FLOWERLIB_DATA") else ""
        fetch = "" if SETS[name].by_hand else f"run `flowerlib download {name}`, or "
        raise InputError(
            f"The photos of {name} were not found in {home()}{source}; {fetch}"
            f"point FLOWERLIB_DATA at the folder that holds {SETS[name].folders[0]}/."
        )
    return folder


def download(name: str) -> Path:
    """Fetches a named data set into `home()`, checked against its published digest and by count.

    What is there and whole is not fetched again; a broken download continues where it stopped.

    Args:
        name: "flowers" or "cifar10"; of the others it says where their photos come from.

    Returns:
        The folder that holds the photos.

    Raises:
        InputError: the name is unknown, or the download failed or is incomplete.
    """
    if name not in SETS:
        known = sorted(known for known in SETS if not SETS[known].by_hand)
        raise InputError(f'No data set "{name}" can be downloaded; known: {", ".join(known)}.')
    if SETS[name].by_hand:
        raise InputError(f"{name} cannot be downloaded by a command: {SETS[name].by_hand}.")
    if name == "cifar10":
        return cifar.download(home())
    folders = [home() / inside for inside in SETS[name].folders]
    folder = next((folder for folder in folders if folder.is_dir()), folders[-1])
    if folder.name == "flowers" and (missing := oxford.find_missing(folder)):
        # Somebody put these photos there by hand, so they are not replaced.
        raise InputError(f"{folder} {missing}; move it away and run this again.")
    return oxford.download(home(), folder)
