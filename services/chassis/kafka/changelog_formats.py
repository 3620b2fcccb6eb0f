"""In which format a lane writes its changelog, and which formats it reads.

The format of an entry is its first byte (`changelog_codec`). During an upgrade, replicas of two versions take the partitions over from each other,
and a rollback must be possible: so a new version goes on writing the format of the version before, until an operator decides that no replica will
go back (`chapar upgrade finalise`). The decision is a record of `formats.v1`, which every process with lanes reads before it starts them.

A program that finds that a newer format was finalised does not join its lane's group: it could not read what its neighbours write.
"""

from dataclasses import dataclass
from typing import Final, Protocol

NEWEST: Final = 127
"""The largest format: the first byte of an entry without a format is larger, or 0."""


@dataclass(frozen=True, slots=True)
class Formats:
    """What a program can do with a changelog: it reads and writes the formats up to `newest`, and writes none before `oldest`."""

    newest: int = 1
    oldest: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.oldest <= self.newest <= NEWEST:
            raise ValueError(f"formats {self.oldest} to {self.newest}: a format is 1 to {NEWEST}")

    def to_write(self, finalised: int) -> int:
        """Return the format to write when `finalised` (0: none) is the newest one that may be written."""
        return max(self.oldest, min(self.newest, finalised))


ONE_FORMAT: Final = Formats()
"""Of a changelog whose format has never changed."""


class Finalised(Protocol):
    """The formats that operators have finalised."""

    def of(self, changelog: str) -> int:
        """Return the newest format that may be written to a changelog (logical name); 0 when none was finalised."""


class NothingFinalised:
    """Every lane writes the oldest format that it can write."""

    def of(self, changelog: str) -> int:
        """Return 0."""
        return 0


NOTHING_FINALISED: Final = NothingFinalised()
