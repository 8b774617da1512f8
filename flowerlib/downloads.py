"""Fetches files over https: goes on where a download broke off, checks before a file gets its name.

The one room that touches the network. Nothing here trusts a server: an address that leads away from
https is refused, and what arrives counts only if its digest is the published one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from flowerlib import building
from flowerlib.errors import InputError

Progress = Callable[[int, int | None], None]  # bytes here, bytes in all if known

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds of silence
TRIES = 4  # in a row, without a new byte
PAUSE = 1.0  # seconds before the second try, doubled before each further one
MOST = 1 << 34  # bytes of a file whose size nobody told
SPARE = 1 << 26  # bytes that stay free on the disk
TRY_AGAIN = (408, 425, 429)  # and 500 up


class Digest(NamedTuple):
    """A published digest: its kind, and its hexadecimal digits or the first of them."""

    kind: str
    digits: str

    def of(self, path: Path) -> str:
        """The same kind of digest of a file."""
        with open(path, "rb") as file:
            if self.kind == "SHA-256":
                return hashlib.file_digest(file, "sha256").hexdigest()
            # Some systems allow MD5 only where nobody's security hangs on it.
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

    def fits(self, path: Path) -> bool:
        """Whether a file is there and has this digest."""
        return path.is_file() and self.of(path).startswith(self.digits)


class _Broken(Exception):
    """A try that failed; the next one may not."""


def fetch(
    url: str,
    path: Path | str,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Brings a published file here, whole and unchanged, or raises and leaves `path` as it was.

    Where `path` already has the right digest, the network is not asked. What arrives is written to
    `path` + ".part", which outlives an interruption: the next call goes on from there if the server
    can, and starts again if it cannot. Two processes that want the same file take turns.

    Args:
        url: starts with https; redirects must, too.
        path: the file; its folder is created.
        sha256, md5: one of them, hexadecimal; of a SHA-256 its first eight digits or more will do.
        size: in bytes, if it is known; another size is refused before anything is fetched.
        progress: called with the bytes that are here, and with all bytes if the server told.

    Returns:
        `path`.

    Raises:
        InputError: the server cannot be reached, the file is gone or changed, the disk is full.
    """
    if (sha256 is None) == (md5 is None):
        raise TypeError("fetch needs either sha256 or md5")
    wanted = Digest("SHA-256", sha256) if sha256 else Digest("MD5", md5 or "")
    lengths = range(8, 65) if sha256 else (32,)
    if len(wanted.digits) not in lengths or not re.fullmatch("[0-9a-f]+", wanted.digits):
        raise ValueError(f"{wanted.digits!r} is no {wanted.kind} in small hexadecimal digits")
    _require_https(url)
    path = Path(path)
    try:
        if wanted.fits(path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with building.alone(path):
            if not wanted.fits(path):  # another process may have been quicker
                part = path.with_name(f"{path.name}.part")
                try:
                    _fetch(url, path, part, wanted, size, progress)
                finally:
                    if part.exists() and not part.stat().st_size:
                        part.unlink()
    except OSError as problem:
        raise InputError(f"Cannot write {path}: {problem.strerror or problem}.") from None
    return path


def _fetch(
    url: str, path: Path, part: Path, wanted: Digest, size: int | None, progress: Any
) -> None:
    if not wanted.fits(part):  # it fits after a kill at the very end
        joined = _receive(url, path, part, size, progress)
        if joined and not wanted.fits(part):  # its start may be of an older file
            part.unlink()
            _receive(url, path, part, size, progress)
        found = wanted.of(part)
        if not found.startswith(wanted.digits):
            part.unlink()
            raise InputError(
                f"{url} is not the published file (its {wanted.kind} is {found}, not "
                f"{wanted.digits}) and was thrown away; try later, or put the right file at {path}."
            )
    os.replace(part, path)  # no fsync of the folder: if the name is lost, the part is still there


def _receive(url: str, path: Path, part: Path, size: int | None, progress: Any) -> bool:
    """Tries until the server has sent all; whether the file may be joined from several pieces."""
    failed, joined = 0, False
    while True:
        with open(part, "ab") as file:
            before = file.tell()
            joined |= before > 0
            try:
                _go_on(url, file, size, progress)
                return joined
            except _Broken as problem:
                failed = 1 if file.tell() > before else failed + 1
                if failed >= TRIES:
                    kept = f"; {file.tell():,} bytes are kept" if file.tell() else ""
                    raise InputError(
                        f"{path.name} could not be downloaded from {urlsplit(url).hostname} "
                        f"({problem}); check the connection and run the same again, or put the "
                        f"file at {path}{kept}."
                    ) from None
        time.sleep(PAUSE * 2 ** (failed - 1))


def _go_on(url: str, file: BinaryIO, size: int | None, progress: Any) -> None:
    """One request for what is missing, appended to an open file."""
    start = file.tell()
    headers = {"User-Agent": "flowerlib", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        with _opener().open(request, timeout=TIMEOUT) as answer:
            start, total = _extent(answer, start)
            if size is not None and total not in (None, size):
                raise InputError(
                    f"{url} is not the published file: it has {total:,} bytes, not {size:,}."
                )
            if start == 0:
                file.truncate(0)
            _require_space(Path(file.name).parent, (total or size or 0) - start)
            done = _copy(answer, file, start, total or size or MOST, total, progress)
    except urllib.error.HTTPError as problem:
        if problem.code == 416 and start:  # nothing follows: whole, or of another file
            return
        if problem.code in TRY_AGAIN or problem.code >= 500:
            raise _Broken(f"it answered {problem.code}") from None
        raise InputError(
            f"{url} cannot be had: the server answered {problem.code} {problem.reason}."
        ) from None
    except (OSError, http.client.HTTPException) as problem:  # URLError, timeouts, TLS, resets
        reason = getattr(problem, "reason", problem)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise InputError(
                f"{urlsplit(url).hostname} could not show a valid certificate "
                f"({reason.verify_message}); nothing was fetched from {url}."
            ) from None
        raise _Broken(str(reason) or type(reason).__name__) from None
    if total is not None and done < total:
        raise _Broken(f"it hung up after {done:,} of {total:,} bytes")


def _extent(answer: Any, start: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the size of the whole file if it is told."""
    if answer.status == 206:
        told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if told is not None and int(told[1]) == start:
            return start, None if told[2] == "*" else int(told[2])
        raise InputError(f"{answer.url} sends another part of the file than was asked for.")
    if answer.status != 200:
        raise _Broken(f"it answered {answer.status}")
    length = answer.headers.get("Content-Length", "")  # a whole file: the server ignores ranges
    return 0, int(length) if length.isdecimal() else None


def _copy(
    answer: Any, file: BinaryIO, done: int, most: int, total: int | None, progress: Any
) -> int:
    while block := answer.read1(CHUNK):
        done += len(block)
        if done > most:
            raise InputError(f"{answer.url} does not end after {most:,} bytes as it should.")
        _write(file, block)
        if progress is not None:
            progress(done, total)
    _write(file, b"")
    return done


def _write(file: BinaryIO, block: bytes) -> None:
    """Writes through to the file, and with no block to the disk; its errors are no server's."""
    try:
        file.write(block)
        file.flush()
        if not block:
            os.fsync(file.fileno())
    except OSError as problem:
        raise InputError(
            f"Cannot write {file.name}: {problem.strerror}; what has arrived is kept, so make room "
            "and run the same again."
        ) from None


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(f"{url} is refused: only addresses that start with https:// are fetched.")


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + SPARE > free:
        raise InputError(
            f"{folder} has room for {free / 1e6:,.0f} MB, but {needed / 1e6:,.0f} MB are still "
            "to come; make room and run the same again."
        )


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Knows https and proxies; unlike urllib's own it cannot open http, ftp, files or data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _StayOnHttps(),
        urllib.request.HTTPSHandler(context=_context()),
    ):
        opener.add_handler(handler)
    return opener


def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextlib.contextmanager
def bar(name: str) -> Iterator[Progress]:
    """A progress callback for `fetch` that draws a bar in a terminal, and nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=None) as line:

        def progress(done: int, total: int | None) -> None:
            line.total = total
            line.update(done - line.n)

        yield progress
