"""Fetches published files over https: continues where a download broke off, checks the digest.

Only this module touches the network. No server is trusted: an address that leads away from https is
refused, and a file gets its name only if its digest is the published one.
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
from typing import Any
from urllib.parse import urlsplit

from flowerlib.support import storage
from flowerlib.support.errors import InputError, reason

Progress = Callable[[int, int], None]  # bytes here, bytes in all

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds of silence
PATIENCE = 5.0  # seconds to find out whether there is a connection at all
TRIES = 4  # in a row, without a new byte
PAUSE = 1.0  # seconds before the second try, twice as long before each further one
SPARE = 1 << 26  # bytes that stay free on the disk
TRY_AGAIN = (408, 425, 429)  # and 500 up


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
    `path` + ".part", which outlives an interruption: the next call continues there if the server
    can, and starts again if it cannot. Two processes that want the same file take turns.

    Args:
        url: starts with https; redirects must, too.
        path: the file; its folder is created.
        sha256, md5: one of them, in lower case; of a SHA-256, eight digits or more will do.
        size: in bytes, if it is known; another size is refused before anything is fetched.
        progress: called with the bytes that are here, and with all bytes.

    Raises:
        InputError: the server cannot be reached, the file is gone or changed, the disk is full.
    """
    if (sha256 is None) == (md5 is None):
        raise TypeError("fetch needs either sha256 or md5")
    algorithm, wanted = ("sha256", sha256) if sha256 is not None else ("md5", str(md5))
    if not re.fullmatch("[0-9a-f]{8,64}" if md5 is None else "[0-9a-f]{32}", wanted):
        raise ValueError(f"{wanted!r} is no {algorithm} in lower-case hexadecimal")
    _require_https(url)
    path = Path(path)
    part = path.with_name(f"{path.name}.part")

    def is_published(file: Path) -> bool:
        return file.is_file() and _digest(file, algorithm).startswith(wanted)

    try:
        if is_published(path):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with storage.lock(path):
            if is_published(path):  # another process was quicker
                return path
            if not is_published(part):  # it is, after a kill at the very end
                joined = _receive(url, path, part, size, progress)
                if joined and not is_published(part):  # its start may be of an older file
                    part.unlink()
                    _receive(url, path, part, size, progress)
            if not is_published(part):
                found = _digest(part, algorithm)
                part.unlink()
                raise InputError(
                    f"{url} is not the published file (its {algorithm} is {found}, not {wanted}) "
                    f"and was thrown away; try later, or put the right file at {path}."
                )
            os.replace(part, path)
    except (OSError, NotImplementedError) as problem:  # the latter where no file can be locked
        saved = "; the next try continues from what has arrived" if part.is_file() else ""
        raise InputError(f"Cannot write {path}: {reason(problem)}{saved}.") from None
    return path


def _digest(file: Path, algorithm: str) -> str:
    with open(file, "rb") as stream:
        # Some systems allow MD5 only where nobody's security depends on it.
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def _receive(url: str, path: Path, part: Path, size: int | None, progress: Progress | None) -> bool:
    """Appends to `part` until it is whole; whether it was joined from several pieces."""
    failed, joined = 0, False
    while True:
        before = part.stat().st_size if part.exists() else 0
        joined |= before > 0
        try:
            _append(url, part, before, size, progress)
            return joined
        except _Broken as problem:
            length = part.stat().st_size if part.exists() else 0
            failed = 1 if length > before else failed + 1
            if failed >= TRIES:
                rest = f"; the next try continues from {length:,} bytes" if length else ""
                raise InputError(
                    f"{path.name} could not be downloaded from {urlsplit(url).hostname} "
                    f"({problem}); check the connection and run the same again, or put the "
                    f"file at {path}{rest}."
                ) from None
        time.sleep(PAUSE * 2 ** (failed - 1))


def _append(url: str, part: Path, start: int, size: int | None, progress: Progress | None) -> None:
    """One request for what follows the first `start` bytes."""
    try:
        answer = _open(url, start)
    except urllib.error.HTTPError as problem:
        if problem.code == 416 and start:  # nothing follows: whole, or of an older file
            return
        if problem.code in TRY_AGAIN or problem.code >= 500:
            raise _Broken(f"it answered {problem.code}") from None
        raise InputError(
            f"{url} cannot be had: the server answered {problem.code} {problem.reason}."
        ) from None
    except (OSError, http.client.HTTPException) as problem:  # URLError, timeouts, TLS, resets
        raise _Broken(getattr(problem, "reason", problem)) from None
    with answer:
        if answer.status == 206:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise InputError(f"{url} sends another part of the file than was asked for.")
        else:  # the whole file: this server ignores ranges
            start = 0
        if answer.length is None:
            raise InputError(f"{url} cannot be had: the server does not say how long it is.")
        total = start + answer.length
        if size is not None and size != total:
            raise InputError(
                f"{url} is not the published file: it has {total:,} bytes, not {size:,}."
            )
        free = shutil.disk_usage(part.parent).free
        if answer.length + SPARE > free:
            raise InputError(
                f"{part.parent} has {free / 1e6:,.0f} MB free, but {answer.length / 1e6:,.0f} MB "
                "are still to come; free some space and run the same again."
            )
        done = start
        with open(part, "ab" if start else "wb") as file:
            for block in _blocks(answer):
                file.write(block)
                file.flush()
                done += len(block)
                if progress is not None:
                    progress(done, total)
            os.fsync(file.fileno())
    if done < total:
        raise _Broken(f"it hung up after {done:,} of {total:,} bytes")


def _blocks(answer: Any) -> Iterator[bytes]:
    """What arrives; errors of the connection, as distinct from those of writing."""
    try:
        while block := answer.read1(CHUNK):
            yield block
    except (OSError, http.client.HTTPException) as problem:
        raise _Broken(str(problem) or type(problem).__name__) from None


def _open(url: str, start: int) -> Any:
    headers = {"User-Agent": "flowerlib", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    verified = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(_StayOnHttps, verified)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)


def can_be_reached(url: str) -> bool:
    """Whether a server answers within some seconds, whatever it says."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise InputError(f"{url} is refused: only addresses that start with https:// are fetched.")


class _StayOnHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def bar(name: str) -> Iterator[Progress]:
    """A progress callback for `fetch` that draws a bar in a terminal, and nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=None) as line:

        def progress(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)

        yield progress
