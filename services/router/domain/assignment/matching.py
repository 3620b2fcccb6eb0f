"""Match interactions of queues that choose by skill score as a batch.

The order of service alone decides which interactions are served; the largest total score decides which agent each one gets.

An interaction gets a place only when everything added before it keeps one (augmenting paths: Kuhn 1955). Then the best of all assignments of
the interactions with a place is found by shortest paths (Jonker and Volgenant 1987). Among equal totals, the first in the order gets the agent
who suits it best, then the second, so that every process decides alike. All numbers are whole: a score counts in billionths, and a
preference counts less than those of everything before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.router.domain.assignment.choosing import MOST_TOGETHER, Room
from services.router.domain.pool.index import Line
from services.router.domain.pool.state import Interaction

Seat = tuple[str, int]
"""An agent, and which of their places for a channel."""

_BILLION: Final = 1_000_000_000
_BITS: Final = (MOST_TOGETHER - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Entry:
    """An interaction that has a place, and the openings that it could take."""

    line: Line
    interaction: Interaction
    room: Room


class Batch:
    """Interactions of one channel with the same number of open offers, in the order of service."""

    __slots__ = ("_holders", "_seats", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._seats: list[list[Seat]] = []
        self._holders: dict[Seat, int] = {}

    def takes(self, line: Line) -> bool:
        """Whether interactions of a line can be matched in this batch."""
        if not self.entries:
            return True
        first = self.entries[0].line
        return (first.channel, first.round) == (line.channel, line.round) and len(self.entries) < MOST_TOGETHER

    def add(self, line: Line, interaction: Interaction, room: Room) -> bool:
        """Add an interaction; return whether there is a place for it beside everything added before."""
        self._seats.append([opening[3:] for opening in room.openings])
        if not self._seated(len(self.entries), set()):
            self._seats.pop()
            return False
        self.entries.append(Entry(line, interaction, room))
        return True

    def _seated(self, number: int, tried: set[Seat]) -> bool:
        for seat in self._seats[number]:
            if seat not in tried:
                tried.add(seat)
                holder = self._holders.get(seat)
                if holder is None or self._seated(holder, tried):
                    self._holders[seat] = number
                    return True
        return False

    def matched(self) -> list[int]:
        """Return for each entry which of its openings it gets."""
        count = len(self.entries)
        if (in_turn := self._in_turn()) is not None:
            return in_turn
        columns: dict[Seat, int] = {}
        rows: list[list[tuple[int, int]]] = []
        for number, (entry, seats) in enumerate(zip(self.entries, self._seats, strict=True)):
            row = []
            for preference, (seat, opening) in enumerate(zip(seats, entry.room.openings, strict=True)):
                loss = (_BILLION + round(opening[0] * _BILLION)) << _BITS * count
                preferred = preference << _BITS * (count - 1 - number)
                row.append((columns.setdefault(seat, len(columns)), loss + preferred))
            rows.append(row)
        given = least_total(rows)
        return [
            next(i for i, (column, _) in enumerate(row) if column == mine)
            for row, mine in zip(rows, given, strict=True)
        ]

    def _in_turn(self) -> list[int] | None:
        """Return what each entry gets when it takes its first free opening, if none loses by that.

        No total is larger then, and no earlier entry gets a worse opening.
        """
        taken: set[Seat] = set()
        given: list[int] = []
        for entry, seats in zip(self.entries, self._seats, strict=True):
            mine = next((number for number, seat in enumerate(seats) if seat not in taken), None)
            if mine is None or entry.room.openings[mine][0] != entry.room.openings[0][0]:
                return None
            taken.add(seats[mine])
            given.append(mine)
        return given


def least_total(rows: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """Return the column of each row so that the sum of the costs is the least.

    Each row lists its columns with their costs; there is a place for all rows.
    """
    of_row = [0] * len(rows)
    of_column: dict[int, int] = {}
    owners: dict[int, int] = {}
    given = [0] * len(rows)
    for row in range(len(rows)):
        far, at = 0, row
        reached: dict[int, int] = {}
        before: dict[int, int] = {}
        done: dict[int, int] = {}
        while True:
            for column, cost in rows[at]:
                if column not in done:
                    distance = far + cost - of_row[at] - of_column.get(column, 0)
                    if column not in reached or distance < reached[column]:
                        reached[column], before[column] = distance, at
            nearest = min(reached, key=reached.__getitem__)
            far = reached.pop(nearest)
            done[nearest] = far
            if nearest not in owners:
                break
            at = owners[nearest]
        of_row[row] += far
        for column, distance in done.items():
            if column != nearest:
                of_row[owners[column]] += far - distance
                of_column[column] = of_column.get(column, 0) - (far - distance)
        column = nearest
        while True:
            previous = before[column]
            owners[column] = previous
            given[previous], column = column, given[previous]
            if previous == row:
                break
    return given
