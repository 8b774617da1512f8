"""Hostile, damaged and honest archives against `archives.extract`, with canaries around the target.

Every attack has a folder of its own: `inside/` with the archive and the target, around it files
that must stay as they are. An honest archive must come out exactly; anything else must be refused
in one sentence and leave nothing behind; a damaged one may end either way, but never in between.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flowerlib import archives, downloads
from flowerlib.errors import InputError
from tests import https_server
from tests.fuzz import Outcome

FULL = 100
MAX_FILES, MAX_BYTES = 1000, 1 << 28
MAX_MEMORY = 32  # megabytes: a bomb must not go off in memory either

Files = dict[str, bytes]


class Case(NamedTuple):
    """An archive, the files that must come out, and whether it may or must be refused instead."""

    content: bytes
    files: Files
    refused: bool | None  # None: either way will do


class Draw:
    """What makers draw from: chance, and a place outside the target to aim at."""

    def __init__(self, seed: str, outside: Path, many: bool = False) -> None:
        self.random, self.outside, self.many = random.Random(seed), outside, many
        self.zip = self.random.random() < 0.4
        self.packed = self.random.random() < 0.7

    def files(self, least: int = 2) -> Files:
        """A few honest files; enough of them to be killed halfway, where that is the attack."""
        some = self.random
        if self.many:
            return {f"rose/{n:03}.jpg": some.randbytes(20_000) for n in range(900)}
        names = [f"{some.choice(['rose', 'lily/a', 'für'])}/{n:02}.jpg" for n in range(9)]
        chosen = some.sample(names, some.randint(least, 9))
        return {
            name: some.randbytes(some.choice([0, 1, 511, 512, 5000, 70_000])) for name in chosen
        }

    def escape(self) -> str:
        """A name that leads out of the target."""
        up = "../" * self.random.randint(1, 4)
        return self.random.choice(
            [f"{up}evil", f"rose/{up}{up}evil", f"./{up}evil", "..", "rose/.."]
        )

    def among(self, members: list[Any]) -> list[Any]:
        """The members at random places among honest ones, in their order."""
        honest = [member(name, content) for name, content in self.files().items()]
        at = self.random.randint(0, len(honest))
        return honest[:at] + members + honest[at:]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any) -> Any:
    """A member of a tar archive, with its content."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(draw: Draw, members: list[Any], form: int = tarfile.PAX_FORMAT, **options: Any) -> bytes:
    """A tar archive; packed or not by chance."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, **options) as opened:
        for info, content in members:
            opened.addfile(info, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), 1) if draw.packed else stream.getvalue()


def zipped(files: dict[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of names, or of ZipInfo with attributes of their own."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return stream.getvalue()


def zip_entry(name: str, mode: int, *, plain: bool = False) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x" if plain else name)
    info.filename = name  # as it is: the constructor would mend it
    info.create_system, info.external_attr = 3, mode << 16
    return info


def either(draw: Draw, files: Files) -> bytes:
    """Honest files, as zip or tar."""
    if draw.zip:
        return zipped(files)
    return tar(draw, [member(name, content) for name, content in files.items()])


def named(draw: Draw, *names: str, content: bytes = b"evil") -> Case:
    """Entries with these names among honest ones, to be refused."""
    if draw.zip:
        files: dict[Any, bytes] = dict(draw.files())
        files |= {zip_entry(name, 0o644, plain=True): content for name in names}
        return Case(zipped(files), {}, True)
    return Case(tar(draw, draw.among([member(name, content) for name in names])), {}, True)


# Honest archives


def honest(draw: Draw) -> Case:
    files = draw.files()
    return Case(either(draw, files), files, False)


def honest_tar_of_a_folder(draw: Draw) -> Case:
    """As `tar -C folder .` writes it: "./" in front, folders as members, odd modes and owners."""
    files = draw.files()
    members = [member("./", kind=tarfile.DIRTYPE), member("./rose", kind=tarfile.DIRTYPE)]
    for name, content in files.items():
        modes = {"mode": draw.random.choice([0o4755, 0o2777, 0o1777, 0, 0o600]), "uid": 0}
        members.append(member(f"./{name}", content, **modes))
    form = draw.random.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    return Case(tar(draw, members, form), files, False)


def honest_zip_with_modes(draw: Draw) -> Case:
    files = draw.files()
    entries: dict[Any, bytes] = {zip_entry("rose/", stat.S_IFDIR | 0o755): b""}
    entries |= {zip_entry(n, stat.S_IFREG | 0o6777): content for n, content in files.items()}
    return Case(zipped(entries), files, False)


def honest_long_names(draw: Draw) -> Case:
    files = {f"{'rose' * 40}/{'é' * 100}{n}.jpg": draw.random.randbytes(n) for n in range(3)}
    return Case(either(draw, files), files, False)


# Places


def traversal(draw: Draw) -> Case:
    return named(draw, draw.escape())


def absolute(draw: Draw) -> Case:
    return named(draw, draw.random.choice([str(draw.outside / "evil"), f"//{draw.outside}/evil"]))


def windows_places(draw: Draw) -> Case:
    names = [r"..\..\evil", r"C:\evil", "C:evil", r"\\host\share\evil", "rose:stream", "rose/NUL"]
    return named(draw, draw.random.choice([*names, "com1.jpg", "rose./x", "rose /x", "a?.jpg"]))


def odd_names(draw: Draw) -> Case:
    names = ["a\nb.jpg", "a\x1b[2Jb", "a\u202egpj.exe", "\x7f", "a\u2028b", "a\x85b"]
    return named(draw, draw.random.choice(names))


def name_with_a_zero(draw: Draw) -> Case:
    if draw.zip:
        return named(draw, "evil.jpg\0../../evil")
    evil = member("rose.jpg", b"evil", pax_headers={"path": "evil.jpg\0../../evil"})
    return Case(tar(draw, draw.among([evil])), {}, True)


def name_that_is_no_text(draw: Draw) -> Case:
    evil = member("a\udcff\udc80b.jpg", b"evil")
    return Case(tar(draw, draw.among([evil]), tarfile.GNU_FORMAT), {}, True)


def very_long_name(draw: Draw) -> Case:
    return named(draw, draw.random.choice(["a" * 300, "é" * 200, "a/" * 499 + "evil", "a" * 5000]))


def deep_folders(draw: Draw) -> Case:
    return named(draw, "/".join("abcdefgh" * draw.random.randint(5, 30)) + "/evil")


def no_name(draw: Draw) -> Case:
    return named(draw, draw.random.choice([".", "./.", "././"][: 2 if draw.zip else 3]))


def same_name_twice(draw: Draw) -> Case:
    if draw.zip:
        content = zipped({"rose/aa.jpg": b"one", "rose/bb.jpg": b"two"})
        return Case(content.replace(b"bb.jpg", b"aa.jpg"), {}, True)
    return named(draw, "rose/x.jpg", "rose/./x.jpg")


def names_that_fall_together(draw: Draw) -> Case:
    pairs = [("Rose/X.jpg", "rose/x.jpg"), ("ß.jpg", "SS.jpg"), ("é.jpg", "e\u0301.jpg")]
    pairs += [("x/a.jpg", "X/b.jpg"), ("x", "x/a.jpg"), ("x/a.jpg", "x"), ("Å", "\u212b")]
    return named(draw, *draw.random.choice(pairs))


# Things that are no files


def symbolic_link(draw: Draw) -> Case:
    target = draw.random.choice([str(draw.outside), "..", "../../outside/secret.txt", "rose"])
    if draw.zip:
        files: dict[Any, bytes] = {zip_entry("link", stat.S_IFLNK | 0o777): target.encode()}
        return Case(zipped(files | {"link/evil": b"evil"}), {}, True)
    link = member("link", kind=tarfile.SYMTYPE, linkname=target)
    return Case(tar(draw, draw.among([link, member("link/evil", b"evil")])), {}, True)


def chain_of_links(draw: Draw) -> Case:
    """Each link stays inside, all of them together lead out."""
    deep, links = "a/b/c/d", [member("a/b/c/d/x", b"")]
    for depth in range(draw.random.randint(2, 6)):
        links.append(member(f"l{depth}", kind=tarfile.SYMTYPE, linkname=f"{deep}/../l{depth + 1}"))
    links += [member("l9", kind=tarfile.SYMTYPE, linkname="l0/../.."), member("l9/evil", b"evil")]
    return Case(tar(draw, draw.among(links)), {}, True)


def link_in_place_of_a_folder(draw: Draw) -> Case:
    members = [member("x", kind=tarfile.DIRTYPE)]
    members += [member("x", kind=tarfile.SYMTYPE, linkname=str(draw.outside)), member("x/evil")]
    return Case(tar(draw, draw.among(members)), {}, True)


def hard_link(draw: Draw) -> Case:
    target = draw.random.choice([str(draw.outside / "secret.txt"), "../../outside/secret.txt"])
    link = member("link", kind=tarfile.LNKTYPE, linkname=target)
    return Case(tar(draw, draw.among([link, member("link", b"evil")])), {}, True)


def device(draw: Draw) -> Case:
    if draw.zip:
        kind = draw.random.choice([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
        return Case(zipped({zip_entry("x", kind | 0o666): b"", "a": b"1"}), {}, True)
    kind = draw.random.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    return Case(tar(draw, draw.among([member("x", kind=kind, devmajor=1, devminor=5)])), {}, True)


def unknown_kind(draw: Draw) -> Case:
    return Case(tar(draw, draw.among([member("x", kind=b"Z"), member("y", kind=b"V")])), {}, True)


def file_with_holes(draw: Draw) -> Case:
    if draw.packed:  # the pax way: a map in the content, a size in the header
        headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "../evil"}
        headers |= {"GNU.sparse.realsize": str(1 << 40)}
        evil = member("x", b"1\n0\n1\n".ljust(512, b"\0") + b"x", pax_headers=headers)
    else:
        evil = member("x", b"", kind=tarfile.GNUTYPE_SPARSE)
    return Case(tar(draw, draw.among([evil])), {}, True)


# Headers that say two things


def pax_path(draw: Draw) -> Case:
    evil = member("rose.jpg", b"evil", pax_headers={"path": draw.escape()})
    return Case(tar(draw, draw.among([evil])), {}, True)


def pax_path_for_all(draw: Draw) -> Case:
    headers = {"path": str(draw.outside / "evil")}
    return Case(tar(draw, draw.among([member("x", b"evil")]), pax_headers=headers), {}, True)


def pax_size(draw: Draw) -> Case:
    size = draw.random.choice(["-512", "-100000", str(1 << 62), "99999999"])
    evil = member("rose.jpg", b"evil", pax_headers={"size": size})
    return Case(tar(draw, draw.among([evil])), {}, True)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """A tar header written by hand, so that its fields may say anything."""
    block = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size
    block += b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar\00000"
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def odd_size_field(draw: Draw) -> Case:
    kinds = [b"0", b"x", b"L", b"K", b"g", b"5", b"S", b"Z"]
    sizes = [b"\xff" * 12, b"\xff" * 10 + b"\xfe\0", b"\x80" + bytes(3) + b"\x7f" + bytes(7)]
    sizes += [b"77777777777\0", b"-0000001000\0"]
    evil = header("x", draw.random.choice(sizes), draw.random.choice(kinds))
    content = evil + bytes(1024) + tar_end()
    return Case(gzip.compress(content) if draw.packed else content, {}, True)


def many_headers_in_a_row(draw: Draw) -> Case:
    """Headers that describe headers that describe headers."""
    content = (header("x", b"%011o\0" % 11, b"x") + b"11 path=a\n\n".ljust(512, b"\0")) * 5000
    return Case(gzip.compress(content + header("x", b"%011o\0" % 0) + tar_end()), {}, True)


def tar_end() -> bytes:
    return bytes(10_240)


# Too much


def bomb(draw: Draw) -> Case:
    """Many megabytes of nothing, in a few kilobytes."""
    size = 150 << 20
    if draw.zip:
        return Case(zipped({"a": b"1", "x": bytes(size)}), {}, True)
    squeeze = zlib.compressobj(6, wbits=31)
    content = squeeze.compress(header("x", b"%011o\0" % size))
    for _ in range(size >> 20):
        content += squeeze.compress(bytes(1 << 20))
    return Case(content + squeeze.compress(tar_end()) + squeeze.flush(), {}, True)


def bomb_of_headers(draw: Draw) -> Case:
    """A long name that fills the memory, or many that fill the time."""
    size, count = draw.random.choice([(120 << 20, 1), (900_000, 130)])
    squeeze = zlib.compressobj(6, wbits=31)
    content = b""
    for _ in range(count):
        content += squeeze.compress(header("x", b"%011o\0" % size, b"L") + b"a" * size)
        content += squeeze.compress(bytes(-size % 512) + header("x", b"%011o\0" % 0))
    return Case(content + squeeze.compress(tar_end()) + squeeze.flush(), {}, True)


def bomb_after_the_end(draw: Draw) -> Case:
    squeeze = zlib.compressobj(6, wbits=31)
    content = squeeze.compress(header("x", b"%011o\0" % 0))
    for _ in range(150):
        content += squeeze.compress(bytes(1 << 20))
    return Case(content + squeeze.flush(), {}, True)


def too_many_files(draw: Draw) -> Case:
    return named(draw, *(f"{n}.jpg" for n in range(MAX_FILES + 1)), content=b"")


def zip_that_hides_its_size(draw: Draw) -> Case:
    """Says 10 bytes, holds a megabyte."""
    content = bytearray(zipped({"x": bytes(1 << 20)}))
    for at in (22, content.rindex(b"PK\x01\x02") + 24):
        content[at : at + 4] = struct.pack("<I", 10)
    return Case(bytes(content), {}, True)


def zip_whose_entries_overlap(draw: Draw) -> Case:
    """Every name of the list points at the same bytes."""
    content = zipped({"aa": draw.random.randbytes(1 << 20)}, zipfile.ZIP_STORED)
    start = content.index(b"PK\x01\x02")
    entry, end = content[start : content.index(b"PK\x05\x06")], content[-22:]
    entries = b"".join(entry.replace(b"aa", b"a%c" % n) for n in range(97, 123))
    end = end[:8] + struct.pack("<HHI", 26, 26, len(entries)) + end[16:]
    return Case(content[:start] + entries + end, {}, True)


def zip_packed_oddly(draw: Draw) -> Case:
    if draw.packed:
        method = draw.random.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
        return Case(zipped(draw.files(), method), {}, True)
    content = bytearray(zipped({"x": b"secret"}))
    content[6] |= 1  # "encrypted", here and in the list
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return Case(bytes(content), {}, True)


def zip_with_two_names(draw: Draw) -> Case:
    """One name before the content, another in the list at the end."""
    content = zipped({"rose/aaaa.jpg": b"x"})
    return Case(content.replace(b"rose/aaaa", b"../../../", 1), {}, True)


# Damage


def cut(draw: Draw) -> Case:
    """Cut off anywhere, also exactly between two members."""
    files = draw.files()
    content = either(draw, files)
    end = len(content)
    if not draw.zip and not draw.packed:
        end = sum(512 + -(-len(part) // 512) * 512 for part in files.values())
        if draw.random.random() < 0.5:
            return Case(content[: draw.random.randrange(1, end // 512 + 1) * 512], {}, True)
    return Case(content[: draw.random.randrange(end)], {}, True)


def flipped_bits(draw: Draw) -> Case:
    """Where there are checksums: in gzip and zip. A plain tar has them in its headers only."""
    draw.packed, files = True, draw.files()
    content = bytearray(either(draw, files))
    for _ in range(draw.random.randint(1, 3)):
        content[draw.random.randrange(len(content))] ^= 1 << draw.random.randrange(8)
    return Case(bytes(content), files, None)


def damaged_header(draw: Draw) -> Case:
    """A header in the middle whose checksum is wrong; tarfile alone takes that for the end."""
    content = b"".join(header(f"{n}.jpg", b"%011o\0" % 0) for n in range(9)) + tar_end()
    at = 512 * draw.random.randrange(9) + draw.random.randrange(345)
    content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    return Case(gzip.compress(content) if draw.packed else content, {}, True)


def no_archive(draw: Draw) -> Case:
    some = [b"", b"<!DOCTYPE html><title>404</title>", b"\x80\x04cposix\nsystem\n.", b"\x1f\x8b"]
    some += [b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"Rar!\x1a\x07", b"7z\xbc\xaf'\x1c"]
    some += [draw.random.randbytes(2000), bytes(10_240), gzip.compress(b""), gzip.compress(b"text")]
    return Case(draw.random.choice(some), {}, True)


# What is there already


def half_extracted(draw: Draw, inside: Path, files: Files) -> None:
    """A folder as other programs leave it: some files missing, the last one cut."""
    write(inside / "target", dict(list(files.items())[:-1]))
    (inside / "target" / "mine.txt").write_bytes(b"mine")


def left_by_a_kill(draw: Draw, inside: Path, files: Files) -> None:
    """The folder of an extraction that was killed, with a link out of it."""
    write(inside / ".target.part", dict(list(files.items())[:1]))
    (inside / ".target.part" / "link").symlink_to(draw.outside)
    (inside / ".target.lock").touch()


def link_under_its_name(draw: Draw, inside: Path, files: Files) -> None:
    (inside / ".target.part").symlink_to(draw.outside)


def wrong_digest(draw: Draw, inside: Path, files: Files) -> None:
    """The archive that the server gives is not the published one."""


def killed(draw: Draw, inside: Path, files: Files) -> None:
    """The same extraction in another process, killed at some moment."""
    code = "import sys; from flowerlib import archives; archives.extract(*sys.argv[1:])"
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


MAKERS: list[Callable[[Draw], Case]] = [
    *(honest, honest_tar_of_a_folder, honest_zip_with_modes, honest_long_names),
    *(traversal, absolute, windows_places, odd_names, name_with_a_zero, name_that_is_no_text),
    *(very_long_name, deep_folders, no_name, same_name_twice, names_that_fall_together),
    *(symbolic_link, chain_of_links, link_in_place_of_a_folder, hard_link, device, unknown_kind),
    *(file_with_holes, pax_path, pax_path_for_all, pax_size, odd_size_field),
    *(many_headers_in_a_row, bomb, bomb_of_headers, bomb_after_the_end, too_many_files),
    *(zip_that_hides_its_size, zip_whose_entries_overlap, zip_packed_oddly, zip_with_two_names),
    *(cut, flipped_bits, damaged_header, no_archive),
]
SETTINGS = [half_extracted, left_by_a_kill, link_under_its_name, wrong_digest, killed]
ATTACKS: list[Any] = [*MAKERS, *SETTINGS, killed, killed]


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Extracts `count` archives, each kind as often as the others, and looks at what came of it."""
    outcome = Outcome()
    order = [ATTACKS[n % len(ATTACKS)] for n in range(count)]
    if count < len(ATTACKS):
        order = random.Random(seed).sample(ATTACKS, count)
    slowest, halfway = ("", 0.0), 0
    with served() as server:
        for number, maker in enumerate(order):
            start = time.perf_counter()
            label = f"{maker.__name__} {seed}/{number}"
            place = folder / str(number)
            try:
                end, faults = one(maker, f"{seed} {number}", place, server)
            except Exception as problem:  # whatever it is, nobody should have to see it
                end, faults = "crash", [f"{type(problem).__name__}: {problem}"]
            outcome.ends[end] += 1
            outcome.failures += [f"{label}: {fault}" for fault in faults]
            halfway += (place / "killed halfway").exists()
            slowest = max(slowest, (label, time.perf_counter() - start), key=lambda pair: pair[1])
    outcome.facts["kinds"] = len(set(order))
    outcome.facts["killed_halfway"] = halfway
    outcome.facts["slowest"] = f"{slowest[0].split()[0]}, {slowest[1]:.1f} s"
    return outcome


@contextmanager
def served() -> Iterator[https_server.Server]:
    """A server for the archives that have to be downloaded."""
    server, context = https_server.Server(), downloads._context
    downloads._context = https_server.client_context
    try:
        yield server
    finally:
        downloads._context = context
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
    case = maker(draw) if maker in MAKERS else honest(draw)
    content, files = case.content, case.files
    archive.write_bytes(content)
    before = seen(folder)
    lack = None
    if maker in SETTINGS:
        maker(draw, inside, files)
        lack = lambda place: None if read(place) == files else "holds other files"  # noqa: E731
    sentence, end = "", "right"
    try:
        if maker is wrong_digest:
            server.files["/archive"] = content + b"x"
            archive.unlink()
            digest = hashlib.sha256(content).hexdigest()
            downloads.fetch(server.url("archive"), archive, sha256=digest)
        limits = {"max_files": MAX_FILES, "max_bytes": MAX_BYTES}
        tracemalloc.start()
        archives.extract(archive, target, lack=lack, **limits)
    except InputError as problem:
        sentence, end = str(problem), "refused"
    memory = tracemalloc.get_traced_memory()[1] >> 20
    tracemalloc.stop()
    faults = [f"took {memory} MB of memory"] if memory > MAX_MEMORY else []
    after = seen(folder)
    around = {name: what for name, what in after.items() if not name.startswith("inside/target")}
    if maker is half_extracted:
        kept = read(inside / "target.incomplete") if end == "right" else {}
        end = "repaired" if end == "right" else end
        if kept.get("mine.txt") != b"mine":
            faults.append("what was there is lost")
    if maker is left_by_a_kill or maker is killed:
        end = "repaired" if end == "right" else end
    if maker is link_under_its_name:
        around.pop("inside/.target.part", None)
    around.pop("killed halfway", None)
    if maker is wrong_digest:
        before.pop("inside/archive")
    if around != before:
        names = sorted(name for name, _ in around.items() ^ before.items())
        faults.append(f"changed outside the target: {names}")
    if end == "refused":
        faults += [] if is_one_sentence(sentence, inside) else [f"not one sentence: {sentence!r}"]
        if any(name.startswith("inside/target") for name in after) and maker not in SETTINGS:
            faults.append("something is left under the final name")
    elif read(target) != files:
        faults.append("came out wrong")
    elif modes := [p for p in target.rglob("*") if p.stat().st_mode & 0o7000 or p.is_symlink()]:
        faults.append(f"special modes or links: {modes}")
    wanted = case.refused if maker in MAKERS else maker in (wrong_digest, link_under_its_name)
    if wanted is not None and wanted != (end == "refused"):
        faults.append(f"{end} {sentence}")
    return end, faults


def is_one_sentence(text: str, inside: Path) -> bool:
    return text.isprintable() and text.endswith(".") and len(text) < 500 + 2 * len(str(inside))


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
