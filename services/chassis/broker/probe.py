"""Asks a broker for its metadata, over one plain socket: the proof that it serves, and that it is the one we started.

An open port proves neither. The request is Metadata version 4 without topics (the last version with a fixed layout); the answer names
the live brokers and the cluster's id.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

METADATA, VERSION, CORRELATION = 3, 4, 1
LARGEST_ANSWER = 1 << 20


@dataclass(frozen=True)
class Cluster:
    id: str
    brokers: tuple[str, ...]
    """host:port of each live broker, as advertised to clients."""


def ask_metadata(host: str, port: int, timeout_s: float = 2.0) -> Cluster | None:
    """None when nobody answers there, or not in Kafka's protocol."""
    client = b"chapar-probe"
    # header: api key, version, correlation id, client id; body: an empty array of topics, and no automatic creation
    request = struct.pack(f">hhih{len(client)}siB", METADATA, VERSION, CORRELATION, len(client), client, 0, 0)
    try:
        with socket.create_connection((host, port), timeout_s) as sock:
            sock.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _exactly(sock, 4))
            if not 0 < size <= LARGEST_ANSWER:
                return None
            return _read(_exactly(sock, size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _exactly(sock: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        chunk = sock.recv(count - len(found))
        if not chunk:
            raise ConnectionError("closed in the middle of an answer")
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
