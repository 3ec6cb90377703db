"""A local HTTP server that gives one file, in good and in bad ways."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tsbnn.datasets import DataFile


@dataclass
class Source:
    """What the server does, and what it was asked."""

    content: bytes
    name: str = "ett/a.csv"
    port: int = 0
    #: Whether ranges are given, and whether that is said.
    ranges: bool = True
    says_ranges: bool = True
    #: Bytes after which the connection is cut, or nothing more comes; None for never.
    cut_after: int | None = None
    stall_after: int | None = None
    #: Whether not even the head of an answer comes.
    silent: bool = False
    #: Bytes that come in a hundredth of a second; None for all at once.
    drip: int | None = None
    #: Whether the length is told.
    says_length: bool = True
    status: int = 200
    #: The range of each request, or None.
    asked: list[str | None] = field(default_factory=list)
    #: Bytes of each answer's body.
    sent: list[int] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.name}"

    @property
    def file(self) -> DataFile:
        """The registered file, whatever the server gives later."""
        return DataFile(self.name, self.url, self.sha256)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.content).hexdigest()


@contextmanager
def serving(source: Source) -> Iterator[Source]:
    """Run the server on loopback, on any free port."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            give(source, self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.stopped.set()
        server.shutdown()
        server.server_close()


def give(source: Source, handler: BaseHTTPRequestHandler) -> None:
    """Answer one request."""
    asked = handler.headers.get("Range")
    source.asked.append(asked)
    if source.silent:
        source.stopped.wait(10)
        return
    begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and source.ranges else 0
    status = source.status if not begin else 206
    if begin >= len(source.content) or status >= 400:
        handler.send_error(416 if begin else status)
        return
    body = source.content[begin:]
    handler.send_response(status)
    if source.says_length:
        handler.send_header("Content-Length", str(len(body)))
    if source.says_ranges:
        handler.send_header("Accept-Ranges", "bytes")
    if status == 206:
        last = len(source.content) - 1
        handler.send_header("Content-Range", f"bytes {begin}-{last}/{last + 1}")
    handler.end_headers()
    for stop in (source.cut_after, source.stall_after):
        body = body if stop is None else body[: max(0, stop - begin)]
    source.sent.append(len(body))
    size = source.drip or len(body) or 1
    try:
        for place in range(0, len(body), size):
            if source.drip:
                time.sleep(0.01)
            handler.wfile.write(body[place : place + size])
            handler.wfile.flush()
    except OSError:  # the client has had enough
        return
    if source.stall_after is not None:
        source.stopped.wait(10)
