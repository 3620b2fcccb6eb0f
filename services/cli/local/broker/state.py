"""The known state of one home's broker: `broker.json`, which counts only while the process that it names is still the same one."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.cli.local.broker.ports import Ports
from services.cli.local.broker.process import identity


class Running(BaseModel):
    """A broker that was started, as `broker.json` in its home says."""

    model_config = ConfigDict(frozen=True)

    pid: int
    identity: str
    """See `process.identity`."""
    ports: Ports
    java: str
    """The Java that runs it, by its executable."""
    owner: str | None = None
    """The process that the broker is tethered to; None when it is detached."""
    sizing: str = ""
    """Its heap and compiler, and why, in words; empty for a broker of an earlier version."""

    @property
    def bootstrap(self) -> str:
        """The address for clients: host:port."""
        return f"127.0.0.1:{self.ports.client}"


def read(home: Path) -> Running | None:
    """Return None when no broker of this home runs. A stale or partly written file is harmless: its broker was killed."""
    try:
        running = Running.model_validate_json((home / "broker.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return running if identity(running.pid) == running.identity else None


def write(home: Path, running: Running) -> None:
    """Write the state, completely or not at all."""
    whole = home / "broker.json.new"
    whole.write_text(running.model_dump_json())
    os.replace(whole, home / "broker.json")


def forget(home: Path) -> None:
    """Delete the state, if there is one."""
    (home / "broker.json").unlink(missing_ok=True)
