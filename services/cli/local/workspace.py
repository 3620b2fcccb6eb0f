"""The home directory of one copy: `.chapar/` in the project, or the directory in CHAPAR_HOME.

It holds the broker's data, secrets generated for development, the ports that this copy chose, logs, and the list of running processes. Two
checkouts never share a home, so they can run side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.cli.local.kept_secrets import complete_json
from services.cli.reasons import Reason

SERVICES = ("router", "ingest", "sla", "feedback")
_PORTS: Final = range(10_000, 19_000)  # brokers take those above
_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Running:
    """The processes that `chapar run` started, and their addresses. Every other command reads it."""

    pid: int
    bootstrap_servers: str
    topic_prefix: str
    tenant: str
    endpoints: Mapping[str, Mapping[str, str]]
    """host:port by process ("router", "router-2", "ingest"…) and by server ("grpc", "http", "smtp", "ops")."""


class Workspace:
    """The paths and small files of a home. Creates missing ones, readable only by their owner."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Workspace:
        """Return the home of this copy."""
        return cls(Path(environ.get("CHAPAR_HOME") or Path.cwd() / ".chapar").absolute())

    def directory(self, name: str) -> Path:
        """Return a directory of the home; create it if it is missing. Raises FAILED_PRECONDITION when it can't be created or written."""
        path = self.home / name
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.HOME_NOT_WRITABLE,
                f"{path} cannot be created ({error.strerror}); set CHAPAR_HOME to a directory that you may write to",
            ) from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.HOME_NOT_WRITABLE,
                f"{path} cannot be written; fix its permissions, or set CHAPAR_HOME to a directory that you may write to",
            )
        return path

    @property
    def link_secret(self) -> Path:
        """The file with the secret that signs survey links."""
        path = self.directory("secrets") / "links"
        _write_once(path, secrets.token_hex(32))
        return path

    @property
    def personal_key(self) -> Path:
        """The file with the master key of personal data."""
        path = self.directory("secrets") / "personal"
        _write_once(path, secrets.token_hex(32))
        return path

    def demo_secrets(self) -> dict[str, str]:
        """Return the secrets of the example tenant's channels, generated once. In production they are agreed with each provider."""
        return complete_json(self.directory("secrets") / "channels.json")

    def ports(self, names: Sequence[str]) -> dict[str, int]:
        """Return a port for each name: the one used last time if it is free, otherwise a new one."""
        path = self.directory("run") / "ports.json"
        before: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        with contextlib.ExitStack() as held:
            chosen = {name: _hold_port(held, before.get(name, 0)) for name in names}
        path.write_text(json.dumps({**before, **chosen}, sort_keys=True))
        return chosen

    def write_running(self, running: Running) -> None:
        """Record what runs, for the other commands of this copy."""
        path = self.directory("run") / "running.json"
        draft = path.with_suffix(".new")
        draft.write_text(
            json.dumps(
                {
                    "pid": running.pid,
                    "bootstrap_servers": running.bootstrap_servers,
                    "topic_prefix": running.topic_prefix,
                    "tenant": running.tenant,
                    "endpoints": {name: dict(servers) for name, servers in running.endpoints.items()},
                },
                indent=1,
            )
        )
        draft.replace(path)

    def forget_running(self) -> None:
        """Record that nothing runs any more."""
        (self.home / "run" / "running.json").unlink(missing_ok=True)

    def running(self) -> Running | None:
        """Return what runs, or None. A file left behind by a killed run is ignored."""
        path = self.home / "run" / "running.json"
        try:
            known = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        running = Running(**known)
        return running if _alive(running.pid) else None

    def require_running(self) -> Running:
        """Return what runs. Raises FAILED_PRECONDITION NOT_RUNNING with what to do."""
        running = self.running()
        if running is None:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.NOT_RUNNING,
                f"nothing runs in {self.home}: start it with `make run`, or name a server in CHAPAR_ADDRESS",
            )
        return running


def _hold_port(held: contextlib.ExitStack, wanted: int) -> int:
    """Return a free port on loopback. The socket listens until the stack closes, so that two names never get the same port: with
    SO_REUSEADDR, two sockets that do not listen could.

    It is below the range from which the system takes ports for outgoing connections: a service that is started again would
    otherwise find its port taken by an outgoing connection.
    """
    others = random.SystemRandom().sample(_PORTS, _TRIES)  # spreads the choice over the copies on a machine
    for port in ([wanted] if wanted else []) + [*others, 0]:
        listener = held.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            continue
        return int(listener.getsockname()[1])
    raise ChaparError(ErrorKind.UNAVAILABLE, Reason.NO_PORT, "no free port on 127.0.0.1")


def _write_once(path: Path, content: str) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
