"""Ports of one broker, chosen once and kept, so that clients find the broker again after a restart.

They are below the range from which the system takes ports for outgoing connections. Otherwise, while a broker is down, a client that keeps
connecting to the broker's port on loopback could be given that same port, connect to itself, and keep the broker from coming back.
"""

from __future__ import annotations

import hashlib
import random
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.cli.local.broker.errors import BrokerError

FIRST, LAST = 19_000, 31_999


class Ports(BaseModel):
    """The ports of one home's broker: for clients, and for its controller."""

    model_config = ConfigDict(frozen=True)

    client: int
    controller: int


def settle_ports(home: Path, fixed: int | None = None) -> Ports:
    """Return the ports kept in `home`, or new ones if none are kept, if another process has taken one, or if `fixed` differs.

    Raises BrokerError when `fixed` is taken.
    """
    file = home / "ports.json"
    kept = _read(file)
    if fixed is not None and not is_free(fixed):
        raise BrokerError(
            f"Port {fixed} on 127.0.0.1 is in use: stop the program that listens there, or unset CHAPAR_KAFKA_PORT to get a free one."
        )
    if kept and fixed in (None, kept.client) and is_free(kept.client) and is_free(kept.controller):
        return kept
    # Two working copies start their search at different places, so they seldom choose the same port at the same moment.
    first = int.from_bytes(hashlib.sha256(str(home).encode()).digest()[:4]) % (LAST - FIRST)
    client = fixed or _free_from(first, without=None)
    ports = Ports(client=client, controller=_free_from(first + 1, without=client))
    file.write_text(ports.model_dump_json())
    return ports


def is_free(port: int) -> bool:
    """Return whether a server can bind the port on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        # As Java does: connections of a dead broker in TIME_WAIT do not count.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that is free now, anywhere in the range."""
    return _free_from(random.randrange(LAST - FIRST), without=None)  # noqa: S311 - spreads the choice; no secret


def _free_from(start: int, without: int | None) -> int:
    span = LAST - FIRST + 1
    for step in range(span):
        port = FIRST + (start + step) % span
        if port != without and is_free(port):
            return port
    raise BrokerError(
        f"No port between {FIRST} and {LAST} is free on 127.0.0.1: stop some servers, or set CHAPAR_KAFKA_PORT."
    )


def _read(file: Path) -> Ports | None:
    try:
        return Ports.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None  # no file, or a partial write: choose again
