"""Asks a broker for its metadata, over one plain socket: this proves that it serves, and that it is the broker we started.

An open port proves neither. Metadata version 4 (a fixed layout) lists the live brokers and the cluster's id; FindCoordinator version 1
shows whether groups and transactions can begin.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

METADATA, FIND_COORDINATOR = 3, 10
GROUP, TRANSACTION = 0, 1
CORRELATION = 1
LARGEST_ANSWER = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """What a broker says about its cluster."""

    id: str
    brokers: tuple[str, ...]
    """host:port of each live broker, as advertised to clients."""


def ask_metadata(host: str, port: int, timeout_s: float = 2.0) -> Cluster | None:
    """Return None when no broker answers there, or the answer is not in Kafka's protocol."""
    # an empty array of topics, and no automatic creation
    answer = _ask(host, port, METADATA, 4, struct.pack(">iB", 0, 0), timeout_s)
    try:
        return _read(answer) if answer is not None else None
    except (struct.error, UnicodeDecodeError):
        return None


def has_coordinators(host: str, port: int, timeout_s: float = 2.0) -> bool:
    """Return whether consumer groups and transactions can begin. The first request makes the broker create the topics that they need."""
    return all(_has_coordinator(host, port, kind, timeout_s) for kind in (GROUP, TRANSACTION))


def _has_coordinator(host: str, port: int, kind: int, timeout_s: float) -> bool:
    key = b"chapar-probe"
    answer = _ask(host, port, FIND_COORDINATOR, 1, struct.pack(f">h{len(key)}sb", len(key), key, kind), timeout_s)
    if answer is None or len(answer) < 10:
        return False
    (error,) = struct.unpack_from(">h", answer, 8)  # after the correlation id and the throttle time
    return bool(error == 0)


def _ask(host: str, port: int, api: int, version: int, body: bytes, timeout_s: float) -> bytes | None:
    """Return the response, from its correlation id on."""
    client = b"chapar-probe"
    request = struct.pack(f">hhih{len(client)}s", api, version, CORRELATION, len(client), client) + body
    try:
        with socket.create_connection((host, port), timeout_s) as sock:
            sock.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _exactly(sock, 4))
            return _exactly(sock, size) if 0 < size <= LARGEST_ANSWER else None
    except OSError:
        return None


def _exactly(sock: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        chunk = sock.recv(count - len(found))
        if not chunk:
            raise ConnectionError("closed in the middle of a response")
        found += chunk
    return bytes(found)


def _read(answer: bytes) -> Cluster | None:
    correlation, _throttle_ms, count = struct.unpack_from(">iii", answer)
    if correlation != CORRELATION or not 0 <= count <= 1_000:
        return None
    at = 12
    brokers: list[str] = []
    for _ in range(count):
        at += 4  # node id
        host, at = _string(answer, at)
        (port,) = struct.unpack_from(">i", answer, at)
        _rack, at = _string(answer, at + 4)
        brokers.append(f"{host}:{port}")
    cluster, _ = _string(answer, at)
    return Cluster(cluster or "", tuple(brokers))


def _string(answer: bytes, at: int) -> tuple[str | None, int]:
    (size,) = struct.unpack_from(">h", answer, at)
    if size < 0:
        return None, at + 2
    (raw,) = struct.unpack_from(f">{size}s", answer, at + 2)
    return raw.decode(), at + 2 + size
