"""What counts as a photo below a folder, and what is left out, by kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from flowerlib import audit, cli, data
from flowerlib.data.decoding import images
from flowerlib.data.folders import listing
from flowerlib.support.errors import InputError

JPEG = b"\xff\xd8\xff rest"


def plant(root: Path, *names: str) -> Path:
    """Files that begin like a JPEG; a name that ends in / is an empty folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).write_bytes(
            JPEG + name.encode()
        )
    return root


def below(found: listing.Listing) -> list[str]:
    start = len(found.folder.prefix)
    return [path[start:].replace(os.sep, "/") for path in found.folder.below()]


def test_photos_are_found_in_sorted_order(tmp_path: Path) -> None:
    plant(tmp_path, "b.JPG", "a.png", "sub/c.webp", "sub/b/d.jfif", "a/z.pnm", "sub.jpg/e.avif")
    found = listing.read(tmp_path)
    assert below(found) == [
        *("a.png", "b.JPG", "a/z.pnm", "sub/c.webp", "sub/b/d.jfif", "sub.jpg/e.avif")
    ]
    assert not found.left_out and found.counts().sentence() == ""


def test_a_file_without_an_ending_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    plant(tmp_path, "a", "IMG.0001", "from 2.5 m")
    for name in ("README", "empty", "short"):
        (tmp_path / name).write_bytes({"README": b"text", "short": b"P"}.get(name, b""))
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")  # must not be waited for
    found = listing.read(tmp_path)
    assert below(found) == ["IMG.0001", "a", "from 2.5 m"]
    assert found.left_out == {listing.NO_PICTURE: ["README", "empty", "gone", "pipe", "short"]}


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(kind, e) for kind, e in [("JPEG", "jfif"), ("JPEG", "jpe"), ("PPM", "pgm"), ("PNG", "apng")]]
    + [("TIFF", "tif"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("PPM", "ppm")],
)
def test_every_format_is_known_by_name_and_content(tmp_path: Path, kind: str, ending: str) -> None:
    for name in (f"a.{ending}", "b"):
        Image.new("L", (9, 9), 7).save(tmp_path / name, format=kind)
        images.open_photo(tmp_path / name)
    assert below(listing.read(tmp_path)) == [f"a.{ending}", "b"]


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "b.heic", "c.HEIC", "d.dng", "e.csv", ".f.jpg", "._a.jpg", "Thumbs.db")
    plant(tmp_path, "@eaDir/a.jpg/THUMB_M.jpg", "sub/@eaDir/b.jpg", ".git/objects/c", ".DS_Store")
    plant(tmp_path, "System Volume Information/d.jpg", "__MACOSX/._a.jpg", "x.jpg~", "y.jpg.part")
    found = listing.read(tmp_path)
    assert below(found) == ["a.jpg"]
    assert {kind: len(paths) for kind, paths in found.left_out.items()} == {
        **{".heic": 2, ".dng": 1, ".csv": 1, ".jpg~": 1, ".part": 1},
        **{"hidden": 3, "thumbnails": 3, "of the system": 3},
    }
    assert found.left_out["thumbnails"] == [
        *("Thumbs.db", "@eaDir/a.jpg/THUMB_M.jpg", "sub/@eaDir/b.jpg")
    ]
    message = found.counts().sentence()
    assert message.startswith("left out 15 of 16 files: 3 ") and "2 of other kinds" in message
    assert message.endswith("; convert .dng and .heic to JPEG to use them")
    assert found.counts().to_dict()["used"] == 1 and found.counts().remarkable
    assert not data.FileCounts(9, {"hidden": 1, "thumbnails": 2}).remarkable


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "b.jpg", "more/c.jpg")
    root = plant(tmp_path / "root", "a.jpg", "sub/d.jpg")
    for place, target in {
        **{"z1": outside, "z2": outside, "sub/up": root, "sub/self": root / "sub"},
        **{"e.jpg": outside / "b.jpg", "gone.jpg": "nowhere", "@eaDir": outside},
    }.items():
        (root / place).symlink_to(target)
    (outside / "back").symlink_to(root)
    (root / "loop").symlink_to(root / "loop")
    found = listing.read(root)
    assert below(found) == [
        *("a.jpg", "e.jpg", "gone.jpg", "sub/d.jpg", "z1/b.jpg", "z1/more/c.jpg")
    ]
    assert found.left_out == {
        listing.LINKS: ["z2", "sub/self", "sub/up", "z1/back"],
        listing.THUMBNAILS: ["@eaDir"],
        listing.NO_PICTURE: ["loop"],
    }


def test_links_to_each_other_end(tmp_path: Path) -> None:
    for number in range(9):
        plant(tmp_path, f"{number}/a.jpg")
        for other in range(9):
            (tmp_path / f"{number}/to{other}").symlink_to(tmp_path / str(other))
    found = listing.read(tmp_path)
    counts = found.counts()
    assert counts.used <= 18 and counts.left_out[listing.LINKS] <= 18 * 9


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set with a folder that may not be read, whoever runs the tests."""
    names = [f"{name}/{number}.jpg" for name in ("cat", "dog") for number in range(9)]
    root = plant(tmp_path / "photos", *names, "cat/more/x.jpg", "lost+found/y.jpg")
    scan = os.scandir

    def scandir(path: str) -> object:
        if str(path).rstrip(os.sep).endswith(("more", "lost+found")):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return root


def test_a_folder_that_may_not_be_read_is_named(
    closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "folder cat/more/ may not be read by this user; change its permissions"
    with pytest.raises(InputError, match=message):
        data.image_folder(closed)
    with pytest.raises(InputError, match=message):
        data.labeled_folder(closed, ("cat", "dog"))
    assert cli.main(["predict", str(closed), "--model", "none"]) == 2
    assert message in capsys.readouterr().err
    report = audit.check(closed)
    assert report.serious and message in report.class_problems[0]
    assert report.left_out == {"of the system": ["lost+found/"]}
    with pytest.raises(InputError, match="more may not be read by this user"):
        data.image_folder(closed / "cat" / "more")


@pytest.mark.parametrize("name", ["none", "photos.zip", "photos.csv"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    if name != "none":
        (tmp_path / name).touch()
    message = {"none": "no such folder", "photos.zip": "not a folder; unpack it"}
    with pytest.raises(InputError, match=f"{name}: {message.get(name, 'not a folder; give')}"):
        data.image_folder(tmp_path / name)


def test_predict_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "new", "a.jpg", "b.heic")
    assert cli.main(["predict", str(tmp_path / "new"), "--model", str(tmp_path / "none")]) == 2
    assert "new: left out 1 of 2 files: 1 .heic; convert .heic" in capsys.readouterr().err
