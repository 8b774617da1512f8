"""Hostile, damaged and honest archives, with canaries around the folder they are unpacked to.

Every attack has a folder of its own: `inside/` with the archive and the target, around it files
that must stay as they are. What is not the published archive must be refused at its digest. Of what
is, an honest archive must come out exactly, and a hostile one must be refused in one sentence and
leave nothing behind.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import signal
import ssl
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowerlib.data.sources import archives, downloads
from flowerlib.support.errors import InputError
from tests import https_server
from tests.fuzz import Outcome

FULL = 100

Files = dict[str, bytes]


class Draw:
    """What makers draw from: chance, and a place outside the target to aim at."""

    def __init__(self, seed: str, outside: Path, many: bool = False) -> None:
        self.random, self.outside, self.many = random.Random(seed), outside, many

    def files(self) -> Files:
        """A few honest files; enough of them to be killed halfway, where that is the attack."""
        some = self.random
        if self.many:
            return {f"rose/{n:03}.jpg": some.randbytes(20_000) for n in range(900)}
        names = [f"{some.choice(['rose', 'lily/a', 'für'])}/{n:02}.jpg" for n in range(9)]
        chosen = some.sample(names, some.randint(2, 9))
        return {
            name: some.randbytes(some.choice([0, 1, 511, 512, 5000, 70_000])) for name in chosen
        }

    def among(self, *members: Any) -> bytes:
        """An archive with these members at a random place among honest ones, in their order."""
        honest = [member(name, content) for name, content in self.files().items()]
        at = self.random.randint(0, len(honest))
        return tar(honest[:at] + [*members] + honest[at:])


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any) -> Any:
    """A member of a tar archive, with its content."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(members: list[Any], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A .tar.gz of members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as opened:
        for info, content in members:
            opened.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), 1)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Any:
    return member(name, kind=kind, linkname=target)


# Honest archives: what they are made of


def plain(draw: Draw, files: Files) -> bytes:
    return tar([member(name, content) for name, content in files.items()])


def of_a_folder(draw: Draw, files: Files) -> bytes:
    """As `tar -C folder .` writes it: "./" in front, folders as members, odd modes and owners."""
    members = [member("./", kind=tarfile.DIRTYPE), member("./rose", kind=tarfile.DIRTYPE)]
    for name, content in files.items():
        mode = draw.random.choice([0o4755, 0o2777, 0o1777, 0, 0o600])
        members.append(member(f"./{name}", content, mode=mode, uid=0))
    return tar(members, draw.random.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))


def with_long_names(draw: Draw, files: Files) -> bytes:
    long = {f"{'rose' * 40}/{'é' * 100}{n}.jpg": draw.random.randbytes(n) for n in range(3)}
    files.clear()
    files.update(long)
    return plain(draw, files)


# Hostile archives, to be refused


def traversal(draw: Draw) -> bytes:
    up = "../" * draw.random.randint(1, 4)
    name = draw.random.choice([f"{up}evil", f"rose/{up}{up}evil", f"./{up}evil", ".."])
    return draw.among(member(name, b"evil"))


def pax_path(draw: Draw) -> bytes:
    """A second header that says another name."""
    path = draw.random.choice(["../evil", "rose/../../evil", "evil.jpg\0../../evil"])
    return draw.among(member("rose.jpg", b"evil", pax_headers={"path": path}))


def symbolic_link(draw: Draw) -> bytes:
    target = draw.random.choice([str(draw.outside), "..", "../../outside/secret.txt"])
    return draw.among(link("link", target), member("link/evil", b"evil"))


def chain_of_links(draw: Draw) -> bytes:
    """Each link stays inside, all of them together lead out."""
    deep, links = "a/b/c/d", [member("a/b/c/d/x")]
    for depth in range(draw.random.randint(2, 6)):
        links.append(link(f"l{depth}", f"{deep}/../l{depth + 1}"))
    return draw.among(*links, link("l9", "l0/../.."), member("l9/evil", b"evil"))


def link_in_place_of_a_folder(draw: Draw) -> bytes:
    folder = member("x", kind=tarfile.DIRTYPE)
    return draw.among(folder, link("x", str(draw.outside)), member("x/evil"))


def hard_link(draw: Draw) -> bytes:
    target = draw.random.choice([str(draw.outside / "secret.txt"), "../../outside/secret.txt"])
    return draw.among(link("link", target, tarfile.LNKTYPE), member("link", b"evil"))


def device(draw: Draw) -> bytes:
    kind = draw.random.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    return draw.among(member("x", kind=kind, devmajor=1, devminor=5))


def very_long_name(draw: Draw) -> bytes:
    return draw.among(member(draw.random.choice(["a" * 300, "é" * 200, "a" * 5000])))


def no_archive(draw: Draw) -> bytes:
    some = [b"", b"<!DOCTYPE html><title>404</title>", b"\x80\x04cposix\nsystem\n.", b"\x1f\x8b"]
    return draw.random.choice([*some, draw.random.randbytes(2000), gzip.compress(b"text")])


# What a server sends in place of the published archive


def cut(draw: Draw, content: bytes) -> bytes:
    return content[: draw.random.randrange(len(content))]


def flipped_bits(draw: Draw, content: bytes) -> bytes:
    damaged = bytearray(content)
    damaged[draw.random.randrange(len(content))] ^= 1 << draw.random.randrange(8)
    return bytes(damaged)


def another(draw: Draw, content: bytes) -> bytes:
    return traversal(draw)


# What is there already


def half_extracted(draw: Draw, inside: Path, files: Files) -> None:
    """A folder as other programs leave it: some files missing, and one of the user's."""
    write(inside / "target", dict(list(files.items())[:-1]))
    (inside / "target" / "mine.txt").write_bytes(b"mine")


def left_by_a_kill(draw: Draw, inside: Path, files: Files) -> None:
    """The folder of an extraction that was killed, with a link out of it."""
    write(inside / ".target.part", dict(list(files.items())[:1]))
    (inside / ".target.part" / "link").symlink_to(draw.outside)
    (inside / ".target.lock").touch()


def link_under_its_name(draw: Draw, inside: Path, files: Files) -> None:
    (inside / ".target.part").symlink_to(draw.outside)


def killed(draw: Draw, inside: Path, files: Files) -> None:
    """The same extraction in another process, killed at some moment."""
    code = (
        "import sys; from flowerlib.data.sources import archives; archives.extract(*sys.argv[1:])"
    )
    archive, target = str(inside / "archive"), str(inside / "target")
    child = subprocess.Popen([sys.executable, "-c", code, archive, target])
    started = time.monotonic()
    while child.poll() is None and not (inside / ".target.part").exists():
        if time.monotonic() - started > 20:
            break
    time.sleep(draw.random.uniform(0, 0.15))
    child.send_signal(signal.SIGKILL)
    child.wait()
    if (inside / ".target.part").exists():
        (inside.parent / "killed halfway").touch()


HONEST: list[Callable[[Draw, Files], bytes]] = [plain, of_a_folder, with_long_names]
HOSTILE: list[Callable[[Draw], bytes]] = [
    *(traversal, pax_path, symbolic_link, chain_of_links, link_in_place_of_a_folder, hard_link),
    *(device, very_long_name, no_archive),
]
NOT_PUBLISHED = [cut, flipped_bits, another]
SETTINGS = [half_extracted, left_by_a_kill, link_under_its_name, killed]
ATTACKS: list[Any] = [*HONEST, *HOSTILE, *NOT_PUBLISHED, *SETTINGS, killed]
REFUSED = [*HOSTILE, *NOT_PUBLISHED, link_under_its_name]


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Extracts `count` archives, each kind as often as the others, and looks at what came of it."""
    outcome = Outcome()
    order = [ATTACKS[n % len(ATTACKS)] for n in range(count)]
    if count < len(ATTACKS):
        order = random.Random(seed).sample(ATTACKS, count)
    halfway = 0
    with served() as server:
        for number, maker in enumerate(order):
            label = f"{maker.__name__} {seed}/{number}"
            place = folder / str(number)
            try:
                end, faults = one(maker, f"{seed} {number}", place, server)
            except Exception as problem:  # whatever it is, nobody should have to see it
                end, faults = "crash", [f"{type(problem).__name__}: {problem}"]
            outcome.ends[end] += 1
            outcome.failures += [f"{label}: {fault}" for fault in faults]
            halfway += (place / "killed halfway").exists()
    outcome.facts["kinds"] = len(set(order))
    outcome.facts["killed_halfway"] = halfway
    return outcome


@contextmanager
def served() -> Iterator[https_server.Server]:
    """A server for the archives that have to be downloaded."""
    server, verifying = https_server.Server(), ssl.create_default_context
    ssl.create_default_context = https_server.client_context
    try:
        yield server
    finally:
        ssl.create_default_context = verifying
        server.close()


def one(maker: Any, seed: str, folder: Path, server: https_server.Server) -> tuple[str, list[str]]:
    """One attack: how it ended, and which promises were broken."""
    inside, outside = folder / "inside", folder / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    for canary in (folder / "canary", inside / "canary", outside / "secret.txt"):
        canary.write_bytes(os.urandom(16))
    draw = Draw(f"{maker.__name__} {seed}", outside, many=maker is killed)
    archive, target = inside / "archive", inside / "target"
    files = {} if maker in HOSTILE else draw.files()
    if maker in HOSTILE:
        content = maker(draw)
    else:
        content = (maker if maker in HONEST else plain)(draw, files)
    published = hashlib.sha256(content).hexdigest()
    server.files["/archive"] = maker(draw, content) if maker in NOT_PUBLISHED else content
    if maker in SETTINGS:
        archive.write_bytes(content)
        maker(draw, inside, files)
    before = seen(folder)

    def find_missing(place: Path) -> str | None:
        return None if read(place) == files else "holds other files"

    sentence, end = "", "right"
    try:
        downloads.fetch(server.url("archive"), archive, sha256=published)
        repair = find_missing if maker in SETTINGS else None
        archives.extract(archive, target, find_missing=repair)
    except InputError as problem:
        sentence, end = str(problem), "refused"
    faults = []
    after = seen(folder)
    ours = ("inside/target", "inside/archive", "inside/.target", "inside/.archive.lock")
    changed = sorted(name for name, _ in before.items() ^ after.items())
    if strange := [name for name in changed if not name.startswith(ours)]:
        faults.append(f"changed outside the target: {strange}")
    if end == "refused":
        faults += [] if is_one_sentence(sentence, inside) else [f"not one sentence: {sentence!r}"]
        if target.exists() and maker not in SETTINGS:
            faults.append("something is left under the final name")
        if maker in NOT_PUBLISHED and archive.exists():
            faults.append("what was not published has the archive's name")
    elif read(target) != files:
        faults.append("came out wrong")
    elif modes := [p for p in target.rglob("*") if p.stat().st_mode & 0o7000 or p.is_symlink()]:
        faults.append(f"special modes or links: {modes}")
    if maker is half_extracted and read(inside / "target.incomplete").get("mine.txt") != b"mine":
        faults.append("what was there is lost")
    if (maker in REFUSED) != (end == "refused"):
        faults.append(f"{end} {sentence}")
    if end == "right" and maker in SETTINGS:
        end = "repaired"
    return end, faults


def is_one_sentence(text: str, inside: Path) -> bool:
    return text.isprintable() and text.endswith(".") and len(text) < 500 + 3 * len(str(inside))


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(folder: Path) -> Files:
    """All files below a folder by name; a link counts as a file that nobody wanted."""
    return {
        path.relative_to(folder).as_posix(): b"link" if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def seen(folder: Path) -> dict[str, str]:
    """Everything below a folder, links not followed: kind, mode, number of links, content."""
    found = {}
    for path in folder.rglob("*"):
        what = path.lstat()
        content = (
            hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(what.st_mode) else ""
        )
        links = what.st_nlink if content else 0
        found[path.relative_to(folder).as_posix()] = f"{what.st_mode:o} {links} {content}"
    return found
