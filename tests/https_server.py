"""An https server on this machine whose files break off, change or lead astray as a test wants.

Its encryption is real, but without certificates ("anonymous" key exchange), so no keys have to be
stored or made. `client_context` is the one client that talks to it; any other refuses.

    python -m tests.https_server URL PATH SHA256 [BYTES]    fetch, in a process of its own
"""

from __future__ import annotations

import http.server
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from flowerlib.data.sources import downloads
from flowerlib.support.errors import InputError

ANONYMOUS = "AECDH-AES256-SHA:@SECLEVEL=0"


def client_context() -> ssl.SSLContext:
    """Talks to `Server` and to nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return _anonymous(context)


def _anonymous(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ANONYMOUS)
    return context


class Server:
    """Serves `files`; each request takes one of `plan`, or is answered as it should be.

    A plan's entries: a number, hang up after so many bytes (below 0: fall silent); "no range", send
    all whatever was asked; a status code as a string; an address, redirect there; "endless", send
    on and on, without a length; "shifted", answer a range with another one; a callable, called
    before an ordinary answer.

    Attributes:
        asked: (path, Range header) of each request.
    """

    def __init__(self, **files: bytes) -> None:
        self.files = {f"/{name}": content for name, content in files.items()}
        self.plan: list[int | str | Callable[[], None]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.more = threading.Event()  # ends the silence
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # clients hang up
        self.http.socket = _anonymous(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).wrap_socket(
            self.http.socket, server_side=True
        )
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def url(self, name: str = "file") -> str:
        return f"https://127.0.0.1:{self.http.server_port}/{name}"

    def close(self) -> None:
        self.more.set()
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answers one request as the plan says."""
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        step = self.plan.pop(0) if self.plan else None
        if callable(step):
            step()
            step = None
        if isinstance(step, str) and step.isdecimal():
            return request.send_error(int(step))
        if isinstance(step, str) and "://" in step:
            request.send_response(302)
            request.send_header("Location", step)
            return request.end_headers()
        if step == "endless":
            request.send_response(200)
            request.end_headers()
            while True:
                request.wfile.write(bytes(1 << 16))
        content = self.files.get(request.path)
        if content is None:
            return request.send_error(404)
        start = 0
        if wanted and step != "no range":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return request.send_error(416)
            request.send_response(206)
            first = start - 1 if step == "shifted" else start
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        if isinstance(step, int) and step < 0:
            request.wfile.write(content[start : start - step])
            request.wfile.flush()
            self.more.wait(20)
        elif isinstance(step, int):
            request.wfile.write(content[start : start + step])
        else:
            request.wfile.write(content[start:])


if __name__ == "__main__":
    url, path, sha256, *limit = sys.argv[1:]
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    ssl.create_default_context = client_context
    try:
        downloads.fetch(url, Path(path), sha256=sha256)
    except InputError as problem:
        sys.exit(f"refused: {problem}")
