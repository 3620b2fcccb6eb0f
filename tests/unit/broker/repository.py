"""A Maven repository for tests: a real HTTP server on loopback that fails on request, and records the requests."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from services.cli.local.broker.lock import Jar

Fault = Literal["truncate", "tamper", "not found", "busy", "ignore range", "wrong range", "refuse range", "too long"]


@dataclass
class Repository:
    url: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """By path: one fault per request, in order; after the last, requests succeed."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    sent: int = 0
    """Bytes of bodies that were sent."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, content: bytes) -> Jar:
        path = f"org/example/{name}/1.0/{name}-1.0.jar"
        self.contents["/" + path] = content
        return Jar(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())

    def fail(self, jar: Jar, *faults: Fault) -> None:
        self.faults["/" + jar.path] += faults

    def ranges(self, jar: Jar) -> list[str | None]:
        return [asked_range for path, asked_range in self.asked if path == "/" + jar.path]


def _handler(repository: Repository) -> type[BaseHTTPRequestHandler]:
    """Return a handler that serves the repository's contents, with their faults."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = repository.contents.get(self.path)
            asked_range = self.headers.get("Range")
            with repository.lock:
                repository.asked.append((self.path, asked_range))
                waiting = repository.faults[self.path]
                fault = waiting.pop(0) if waiting else None
            if fault == "busy":
                return self.refuse(503)
            if fault == "not found" or content is None:
                return self.refuse(404)
            start = int(asked_range.removeprefix("bytes=").removesuffix("-")) if asked_range else 0
            if asked_range and fault == "refuse range":
                return self.refuse(416)
            if fault == "ignore range":
                start = 0
            if fault == "tamper":
                content = bytes(byte ^ 1 for byte in content)
            if fault == "too long":
                content += b"and more" * 100_000
            if fault == "wrong range":
                start += 1
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if fault == "truncate":
                body = body[: len(body) // 2]
                self.close_connection = True
            with repository.lock:
                repository.sent += len(body)  # before the write: the client may have all bytes before write() returns
            try:
                self.wfile.write(body)
            except ConnectionError:
                return None  # the client has disconnected
            return None

        def refuse(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: tests read `asked`."""

    return Handler


@contextmanager
def serving() -> Iterator[Repository]:
    repository = Repository()

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # these tests include clients that disconnect
                raise

    server = Server(("127.0.0.1", 0), _handler(repository))
    repository.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield repository
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
