"""Which shards of the store are due: old files are looked for in each shard once a day.

A mark in the store says when a shard was swept last. So replicas share the work without knowing each other, and a process
that starts again goes on where the marks are. If one replica sweeps one due shard every `EVERY_S` seconds, a shard waits
at most 256 such steps (21 hours and 20 minutes) after it has become due, because no other shard comes up twice in a day.
With the day between sweeps, a file is deleted at most `WITHIN_MS` after it has become too old.
"""

from collections.abc import Iterable
from typing import Final

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
MARKS: Final = "sweeps/"
EVERY_S: Final = 300.0
AGAIN_MS: Final = 86_400_000
"""The time between two sweeps of a shard."""
WITHIN_MS: Final = 2 * AGAIN_MS
"""The longest time from the end of a file's days until it is deleted, with room for 32 sweeps that fail."""


def mark_of(shard: str) -> str:
    """Return the key of a shard's mark."""
    return f"{MARKS}{shard}"


def due(marks: Iterable[str], old: Iterable[str]) -> list[str]:
    """Return the shards without a mark, and those whose mark is old. Both are keys."""
    recent = set(marks) - set(old)
    return [shard for shard in SHARDS if mark_of(shard) not in recent]
