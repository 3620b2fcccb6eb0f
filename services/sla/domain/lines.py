"""Who still waits for what was promised, by queue, channel and promise: the oldest of each line, and how many came before somebody.

Also in line is what was broken and is not fulfilled yet: it is served before what came later. Resolutions stand in no line: they are worked
on side by side. Whatever order entries are told in, the answers are the same, so a restored line answers as the one before it did.
"""

from collections.abc import Iterator
from typing import Final

from sortedcontainers import SortedList

from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.policy import Target
from services.sla.domain.work import Work

LineKey = tuple[str, str, str, Target]
"""Tenant, queue, channel, promise."""
_Entry = tuple[int, str, int, LineKey]
"""Since when (as if the clock had never stood still), who, when the promise breaks, and which line."""
_TARGETS: Final = (Target.PICK_UP, Target.FIRST_RESPONSE, Target.NEXT_RESPONSE)


class Lines:
    """All lines of a partition."""

    def __init__(self) -> None:
        self._lines: dict[LineKey, SortedList[_Entry]] = {}
        self._members: dict[Target, dict[str, _Entry]] = {target: {} for target in _TARGETS}

    def follow(self, work: Work) -> None:
        """Takes over how the promises of this work stand now."""
        for target in _TARGETS:
            members = self._members[target]
            before = members.get(work.interaction_id)
            place = None if work.closed_at_ms else _place(work.latest(target))
            if place is None:
                if before is not None:
                    self._leave(members, before)
                continue
            key = (work.tenant, work.queue, work.channel, target)
            if before is not None:
                if before[3] == key and (before[0], before[2]) == place:
                    continue
                self._leave(members, before)
            entry = (place[0], work.interaction_id, place[1], key)
            members[work.interaction_id] = entry
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = SortedList()
            line.add(entry)

    def forget(self, interaction_id: str) -> None:
        """The work is gone."""
        for members in self._members.values():
            entry = members.get(interaction_id)
            if entry is not None:
                self._leave(members, entry)

    def look(self, key: LineKey, interaction_id: str, now_ms: int) -> tuple[float, int]:
        """Share of the time allowed that has passed for the oldest, and how many came before this one."""
        line = self._lines.get(key)
        if not line:
            return 0.0, 0
        since, _, due, _ = line[0]
        mine = self._members[key[3]].get(interaction_id)
        ahead = line.bisect_left(mine) if mine is not None and mine[3] == key else len(line)
        return max(0.0, (now_ms - since) / max(1, due - since)), ahead

    def oldest_ms(self, key: LineKey, now_ms: int) -> int:
        """How long the oldest has waited; 0 when the line is empty."""
        line = self._lines.get(key)
        return max(0, now_ms - line[0][0]) if line else 0

    def lengths(self) -> Iterator[tuple[LineKey, int]]:
        """How many are in each line."""
        for key, line in self._lines.items():
            yield key, len(line)

    def _leave(self, members: dict[str, _Entry], entry: _Entry) -> None:
        del members[entry[1]]
        line = self._lines[entry[3]]
        line.remove(entry)
        if not line:
            del self._lines[entry[3]]


def _place(deadline: Deadline | None) -> tuple[int, int] | None:
    """Since and due of a deadline that keeps somebody waiting."""
    if deadline is None or not deadline.dues:
        return None
    if deadline.state is State.RUNNING:
        return deadline.since_ms - deadline.used_ms, deadline.dues[-1]
    if deadline.state is State.BREACHED and not deadline.late:
        return deadline.since_ms, deadline.dues[-1]
    return None
