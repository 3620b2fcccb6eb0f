"""Reads from the end of the log why a broker ended before it was ready, and returns one sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

from services.cli.local.broker.errors import BrokerError

TAIL = 64 * 1024


class PortTakenError(BrokerError):
    """Another process took the port between our check and Java's bind: other ports may work."""


def explain(log: Path) -> BrokerError:
    """Return the error that says, by the end of the broker's log, why a start failed and what to do."""
    tail = _tail(log)
    if "Address already in use" in tail:
        return PortTakenError(
            "The broker's port was taken by another program during the start: start again, or set CHAPAR_KAFKA_PORT to another port."
        )
    if "No space left on device" in tail or "Disk quota exceeded" in tail:
        return BrokerError(
            f"The disk of {log.parent} is full: free some space there, or set CHAPAR_HOME to another disk, then start again."
        )
    if "Failed to acquire lock on file" in tail:
        return BrokerError(
            f"Another broker uses the data in {log.parent}: stop it first, or set CHAPAR_HOME to a directory that only this working copy uses."
        )
    if "Permission denied" in tail or "Read-only file system" in tail or "AccessDeniedException" in tail:
        return BrokerError(
            f"The broker may not write its data in {log.parent}: fix the permissions, or set CHAPAR_HOME to a directory that you own."
        )
    if "OutOfMemoryError" in tail or "Too small maximum heap" in tail or "Could not reserve enough space" in tail:
        return BrokerError(
            f"The broker ran out of memory: set CHAPAR_KAFKA_HEAP to more (or, on a full machine, less); {log} has the details."
        )
    last = next(
        (line.strip() for line in reversed(tail.splitlines()) if line.strip() and not line.startswith("\t")),
        "it wrote no log",
    )
    return BrokerError(f"The broker ended before it was ready ({last[:200]}): see {log}.")


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            return handle.read().decode(errors="replace")
    except OSError:
        return ""
