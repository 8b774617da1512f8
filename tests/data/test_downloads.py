"""Files come whole and as published or not at all; what broke off continues; only https."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowerlib import cli, data
from flowerlib.data.sources import cifar, downloads, oxford
from flowerlib.support.errors import InputError
from tests import https_server

CONTENT = np.random.default_rng(0).bytes(300_000)
OLDER = np.random.default_rng(1).bytes(300_000)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[https_server.Server]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    try:
        found = https_server.Server(file=CONTENT)
    except ssl.SSLError as problem:
        pytest.skip(f"this Python's TLS cannot do without certificates ({problem})")
    monkeypatch.setattr(ssl, "create_default_context", https_server.client_context)
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    yield found
    found.close()


def process(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.https_server", *map(str, arguments)],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def nothing_but(folder: Path, *names: str) -> None:
    """Apart from locks, which stay."""
    found = (path.name for path in folder.iterdir() if path.suffix != ".lock")
    assert sorted(found) == sorted(names)


def test_a_whole_file(server: https_server.Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = tmp_path / "new" / "file"
    found = downloads.fetch(
        server.url(),
        path,
        sha256=sha(CONTENT),
        size=300_000,
        progress=lambda *n: seen.append(n),
    )
    assert found == path and path.read_bytes() == CONTENT
    assert seen[-1] == (300_000, 300_000) and seen == sorted(seen)
    assert downloads.fetch(server.url(), path, md5=md5(CONTENT)) == path
    assert downloads.fetch(server.url(), path, sha256=sha(CONTENT)[:8]) == path
    assert len(server.asked) == 1, "what is there is not asked for again"
    nothing_but(path.parent, "file")


def test_a_connection_that_breaks_often(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = [100_000, 1, 0, 50_000, "503", 0, 99_999]
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    starts = [0, 100_000, 100_001, 100_001, 150_001, 150_001, 150_001, 250_000]
    assert [wanted for _, wanted in server.asked] == [None, *(f"bytes={n}-" for n in starts[1:])]


def test_a_server_that_ignores_ranges(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = [100_000, "no range"]
    downloads.fetch(server.url(), tmp_path / "file", md5=md5(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [100_000, 300_000, 300_001])
def test_a_part_of_an_older_file(server: https_server.Server, tmp_path: Path, length: int) -> None:
    (tmp_path / "file.part").write_bytes((OLDER + b"x")[:length])
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={length}-", None]
    nothing_but(tmp_path, "file")


def test_a_file_that_changes_between_two_tries(server: https_server.Server, tmp_path: Path) -> None:
    server.files["/file"] = OLDER
    server.plan = [100_000, lambda: server.files.update({"/file": CONTENT})]
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_whole_part_needs_no_network(server: https_server.Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert server.asked == []
    nothing_but(tmp_path, "file")


def test_a_wrong_digest_is_refused_by_name(server: https_server.Server, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"what was there")
    for wanted in ({"sha256": sha(OLDER)}, {"md5": md5(OLDER)}, {"sha256": "00000000"}):
        with pytest.raises(InputError, match=r"/file is not the published file \(its \S+ is ") as e:
            downloads.fetch(server.url(), path, **wanted)
        assert next(iter(wanted.values())) in str(e.value)
        assert path.read_bytes() == b"what was there"
        nothing_but(tmp_path, "file")


def test_a_wrong_size_is_refused_at_once(server: https_server.Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 300,000 bytes, not 299,999"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT), size=299_999)
    assert not (tmp_path / "file").exists()


def test_a_file_without_an_end(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = ["endless"]
    with pytest.raises(InputError, match="the server does not say how long it is"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT), size=300_000)
    nothing_but(tmp_path)
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))


def test_redirects_stay_on_https(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = [server.url()]
    downloads.fetch(server.url("moved"), tmp_path / "moved", sha256=sha(CONTENT))
    astray = [server.url().replace("https", "http"), "ftp://127.0.0.1/file", "file:///etc/passwd"]
    for address in astray:
        server.plan = [address]
        with pytest.raises(InputError, match="only addresses that start with https|answered 302"):
            downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
        nothing_but(tmp_path, "moved")
    for address in (*astray, "data:,hello", "//127.0.0.1/file", "https://", "file"):
        with pytest.raises(InputError, match="only addresses that start with https:// are fetched"):
            downloads.fetch(address, tmp_path / "file", sha256=sha(CONTENT))
    server.plan = [server.url("round")] * 30
    with pytest.raises(InputError, match="the server answered 302"):
        downloads.fetch(server.url("round"), tmp_path / "file", sha256=sha(CONTENT))


def test_a_server_without_a_certificate(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # verify as usual
    monkeypatch.setattr(downloads, "PAUSE", 0.01)
    with pytest.raises(InputError, match="file could not be downloaded from 127.0.0.1 .*SSL"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert server.asked == []
    nothing_but(tmp_path)


def test_a_range_that_was_not_asked_for(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = [1000, "shifted"]
    with pytest.raises(InputError, match="sends another part of the file"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))


def test_a_file_that_is_gone(server: https_server.Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/gone cannot be had: the server answered 404"):
        downloads.fetch(server.url("gone"), tmp_path / "file", sha256=sha(CONTENT))
    assert len(server.asked) == 1


def test_no_connection_ends_in_one_sentence(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = [1000, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"file could not be .* hung up .* continues from 1,000"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    nothing_but(tmp_path, "file.part")
    server.close()
    with pytest.raises(InputError, match="file could not be downloaded .*refused"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))

    def offline(*_: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(InputError, match=r"other could not .*name resolution.*check the conn") as e:
        downloads.fetch("https://example.org/x", tmp_path / "other", sha256=sha(CONTENT))
    assert "continues" not in str(e.value) and "\n" not in str(e.value)
    nothing_but(tmp_path, "file.part")


def test_a_silent_server(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    server.plan = [-1000, -1000]
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert [wanted for _, wanted in server.asked] == [None, "bytes=1000-", "bytes=2000-"]


def test_a_full_disk(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource", reason="Windows has no limit for a file's size")
    child = process(server.url(), tmp_path / "file", sha(CONTENT), 100_000)
    error = child.communicate()[1]
    assert child.returncode == 1 and "Traceback" not in error
    assert error.startswith("refused: Cannot write ") and "the next try continues from" in error
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:100_000]
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="has 0 MB free, but 0 MB are still to come"):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    monkeypatch.undo()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write .*file/inside"):
        downloads.fetch("https://127.0.0.1/x", tmp_path / "file" / "inside", sha256=sha(CONTENT))


def test_ctrl_c_leaves_what_has_arrived(server: https_server.Server, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT), progress=stop)
    nothing_but(tmp_path, "file.part")
    arrived = (tmp_path / "file.part").stat().st_size
    assert 100_000 < arrived < 300_000
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert server.asked[1][1] == f"bytes={arrived}-"
    nothing_but(tmp_path, "file")


def test_a_killed_process_leaves_what_has_arrived(
    server: https_server.Server, tmp_path: Path
) -> None:
    server.plan = [-50_000]
    child = process(server.url(), tmp_path / "file", sha(CONTENT))
    part = tmp_path / "file.part"
    for _ in range(1000):
        if part.exists() and part.stat().st_size == 50_000:
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    server.more.set()
    downloads.fetch(server.url(), tmp_path / "file", sha256=sha(CONTENT))
    assert server.asked[1][1] == "bytes=50000-"
    nothing_but(tmp_path, "file")


def test_two_processes_that_want_the_same_file(server: https_server.Server, tmp_path: Path) -> None:
    server.plan = [lambda: time.sleep(0.5)]
    children = [process(server.url(), tmp_path / "file", sha(CONTENT)) for _ in range(2)]
    assert [child.communicate()[1] for child in children] == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    assert len(server.asked) == 1 and (tmp_path / "file").read_bytes() == CONTENT
    nothing_but(tmp_path, "file")


def test_a_digest_must_be_given_in_full() -> None:
    for wrong in ({}, {"sha256": sha(b""), "md5": md5(b"")}):
        with pytest.raises(TypeError):
            downloads.fetch("https://example.org/x", "x", **wrong)
    for wrong in ({"sha256": "1234567"}, {"md5": "12345678"}, {"sha256": "X" * 64}, {"md5": ""}):
        with pytest.raises(ValueError):
            downloads.fetch("https://example.org/x", "x", **wrong)


def packed(**files: bytes) -> bytes:
    """A .tar.gz with files, dots in the names written as two underscores, folders as one."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", ".").replace("_in_", "/"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def oxford_server(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> https_server.Server:
    """Three flowers at a stand-in for Oxford's address."""
    photos = {f"jpg_in_image_0000{n}__jpg": b"photo %d" % n for n in (1, 2, 3)}
    archive = packed(**photos)
    server.files = {"/102flowers.tgz": archive}
    monkeypatch.setattr(oxford, "TOTAL", 3)
    monkeypatch.setattr(oxford, "URL", server.url(""))
    monkeypatch.setattr(oxford, "MD5", md5(archive))
    monkeypatch.setattr(oxford, "ARCHIVE_SIZE", len(archive))
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path / "photos"))
    return server


def test_flowers_are_downloaded(oxford_server: https_server.Server, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "flowers-102"
    assert data.download("flowers") == folder
    nothing_but(folder, "jpg")
    assert (folder / "jpg" / "image_00002.jpg").read_bytes() == b"photo 2"
    assert data.download("flowers") == folder and len(oxford_server.asked) == 1


def test_half_extracted_flowers_are_repaired(
    oxford_server: https_server.Server, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    (folder / "jpg" / "image_00001.jpg").write_bytes(b"pho")
    (folder / "mine.txt").touch()
    with pytest.raises(InputError, match="flowers-102 holds 1 of the 3 flower photos; remove it"):
        data.flowers()
    data.download("flowers")
    assert (folder / "jpg" / "image_00001.jpg").read_bytes() == b"photo 1"
    assert (tmp_path / "photos" / "flowers-102.incomplete" / "mine.txt").exists()
    shutil.rmtree(folder)
    oxford_server.close()
    (folder / "jpg").mkdir(parents=True)
    data.download("flowers")  # the archive is still there
    assert oxford.find_missing(folder) is None


def test_an_archive_with_too_few_flowers(
    oxford_server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oxford, "TOTAL", 4)
    with pytest.raises(InputError, match="what was unpacked holds 3 of the 4 flower photos"):
        data.download("flowers")
    nothing_but(tmp_path / "photos", "102flowers.tgz")


def test_photos_that_were_put_there_by_hand_are_left_alone(
    oxford_server: https_server.Server, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "flowers"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="flowers holds 0 of the 3 flower photos; move it away"):
        data.download("flowers")
    for number in (1, 2, 3):
        (folder / f"image_0000{number}.jpg").touch()
    assert data.download("flowers") == folder
    assert oxford_server.asked == []


def test_cifar_is_downloaded(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    batches, pictures = {}, {}
    for name in (*cifar.BATCHES["train"], *cifar.BATCHES["test"]):
        labels = random.permutation(np.arange(20) % 10 if "data" in name else np.arange(10))
        pixels = random.integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
        records = np.hstack([labels[:, None].astype(np.uint8), pixels.reshape(len(labels), -1)])
        batches[f"cifar-10-batches-bin_in_{name}".replace(".", "__")] = records.tobytes()
        pictures[name] = (labels, pixels)
    archive = packed(**batches)
    server.files = {"/cifar": archive}
    monkeypatch.setattr(cifar, "URL", server.url("cifar"))
    monkeypatch.setattr(cifar, "SHA256", sha(archive))
    monkeypatch.setattr(cifar, "SIZE", len(archive))
    monkeypatch.setattr(cifar, "COUNTS", {"train": 10, "test": 1})
    monkeypatch.setenv("FLOWERLIB_DATA", str(tmp_path))
    assert data.download("cifar10") == tmp_path / "cifar10"
    nothing_but(tmp_path, "cifar10", "cifar-10-binary.tar.gz")
    nothing_but(tmp_path / "cifar10", "train", "test")
    labels, pixels = pictures["data_batch_2.bin"]
    file = tmp_path / "cifar10" / "train" / cifar.CLASSES[labels[7]] / "00027.png"
    with Image.open(file) as picture:
        assert np.array_equal(np.asarray(picture), pixels[7].transpose(1, 2, 0))
    splits = data.cifar10()
    assert splits.class_names == tuple(cifar.CLASSES)
    assert splits.sizes()["test"] == 10 and sum(splits.sizes().values()) == 110
    file.unlink()
    assert data.download("cifar10") == tmp_path / "cifar10" and file.exists()
    assert len(server.asked) == 1
    monkeypatch.setattr(cifar, "COUNTS", {"train": 11, "test": 1})
    with pytest.raises(InputError, match="holds 10 of 11 pictures in train/airplane"):
        data.download("cifar10")
    assert file.exists(), "what was there stays"


def test_sets_that_no_command_can_fetch() -> None:
    with pytest.raises(InputError, match="Kaggle .* accept their terms; put them into dogs_vs_"):
        data.download("dogs_vs_cats")
    with pytest.raises(InputError, match="no published set; put photos .* into beds_and_sofas/"):
        data.download("beds_and_sofas")


def test_the_command_line(
    oxford_server: https_server.Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["download", "flowers"]) == 0
    folder = tmp_path / "photos" / "flowers-102"
    assert capsys.readouterr().out == f"flowers is complete in {folder}\n"
    for name, message in (
        ("roses", "can be downloaded; known: cifar10, fl"),
        ("dogs_vs_cats", "Kag"),
    ):
        assert cli.main(["download", name]) == 2
        found = capsys.readouterr().err
        assert found.startswith("flowerlib: ") and message in found and found.count("\n") == 1

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    shutil.rmtree(folder)
    monkeypatch.setattr(downloads, "fetch", stop)
    assert cli.main(["download", "flowers"]) == 130
    said = capsys.readouterr().err
    assert "what has arrived is saved; run the same command again to continue" in said


def test_weights_are_checked_each_time(
    server: https_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from flowerlib import models
    from flowerlib.models import torchvision_networks

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    made = models.backbone("squeezenet1_1", "none", seed=3)
    stream = io.BytesIO()
    torch.save(made.body.state_dict(), stream)
    name = f"squeezenet1_1-{sha(stream.getvalue())[:8]}.pth"
    server.files = {f"/{name}": stream.getvalue()}
    usual = torchvision_networks.imagenet_entry("squeezenet1_1")
    entry = namedtuple("entry", "url transforms")(server.url(name), usual.transforms)
    monkeypatch.setattr(torchvision_networks, "imagenet_entry", lambda _: entry)
    found = models.backbone("squeezenet1_1")
    assert (found.weights, found.digest()) == ("imagenet", made.digest())
    file = tmp_path / "checkpoints" / name
    damaged = bytearray(file.read_bytes())
    damaged[-1000] ^= 1
    file.write_bytes(damaged)
    assert models.backbone("squeezenet1_1").digest() == made.digest()
    assert len(server.asked) == 2
    file.write_bytes(damaged)
    server.close()
    with pytest.raises(
        InputError, match="weights of squeezenet1_1 could not be had: .* efficientnet_lite0"
    ):
        models.backbone("squeezenet1_1")


def test_torchvision_names_its_files_by_their_digests() -> None:
    from flowerlib.models import torchvision_networks

    for name in torchvision_networks.Torchvision().names():
        url = torchvision_networks.imagenet_entry(name).url
        digits = Path(url).stem.rsplit("-", 1)[1]
        assert url.startswith("https://") and len(digits) >= 8 and int(digits, 16) > 0
