"""Waiting lines by queue and channel: how long the oldest interaction of each line has waited, and how many came before
a given one.

Each queue and channel has two lines: interactions that wait for an agent (for the pick-up, or for the first response if
there is no pick-up target), and interactions that wait for the next response. An interaction whose deadline is breached
and not fulfilled yet is also in line: it is served before those that came later. The results do not depend on the order
in which entries are added, so a restored line gives the same results as the line before it.

Bounded: only the `MOST_IN_LINE` oldest entries of a line are known one by one. An interaction that arrives when the
line is full is not in it: the number ahead already shows that the line is very long, and by the time the interaction is
at the head, others have shown how long it takes. (A restored line knows its oldest entries again.)
"""

from typing import Final

from sortedcontainers import SortedList

from services.policy.model.sla import Target
from services.sla.domain.deadlines import Deadline, State
from services.sla.domain.interaction import TrackedInteraction

LineKey = tuple[str, str, str, Target]
"""Tenant, queue, channel, and PICK_UP or NEXT_RESPONSE."""
_Entry = tuple[int, str, LineKey]
"""Waiting since (as if the clock had never been paused), interaction id, and line."""
_WAITING: Final = (Target.PICK_UP, Target.NEXT_RESPONSE)
MOST_IN_LINE: Final = 2_000


class ResponseLines:
    """All waiting lines of a partition."""

    def __init__(self) -> None:
        self._lines: dict[LineKey, SortedList[_Entry]] = {}
        self._members: dict[Target, dict[str, _Entry]] = {target: {} for target in _WAITING}

    def follow(self, interaction: TrackedInteraction) -> None:
        """Update the lines with the current deadlines of this interaction."""
        for target, members in self._members.items():
            before = members.get(interaction.interaction_id)
            since = None if interaction.closed_at_ms else _since(interaction, target)
            if before is not None:
                if since == before[0] and before[2][1] == interaction.queue:
                    continue
                self._leave(members, before)
            if since is not None:
                key = (interaction.tenant, interaction.queue, interaction.channel, target)
                line = self._lines.get(key)
                if line is None:
                    line = self._lines[key] = SortedList()
                entry = members[interaction.interaction_id] = (since, interaction.interaction_id, key)
                line.add(entry)
                if len(line) > MOST_IN_LINE:
                    del members[line.pop()[1]]

    def forget(self, interaction_id: str) -> None:
        """Remove an interaction from its lines."""
        for members in self._members.values():
            entry = members.get(interaction_id)
            if entry is not None:
                self._leave(members, entry)

    def look(self, key: LineKey, interaction_id: str, now_ms: int) -> tuple[int, int]:
        """Return how long the oldest has waited, in milliseconds, and how many came before this interaction; zeros
        if the line is empty."""
        line = self._lines.get(key)
        if not line:
            return 0, 0
        mine = self._members[key[3]].get(interaction_id)
        ahead = line.bisect_left(mine) if mine is not None and mine[2] == key else len(line)
        return max(0, now_ms - line[0][0]), ahead

    def _leave(self, members: dict[str, _Entry], entry: _Entry) -> None:
        del members[entry[1]]
        line = self._lines[entry[2]]
        line.remove(entry)
        if not line:
            del self._lines[entry[2]]


def _since(interaction: TrackedInteraction, target: Target) -> int | None:
    deadline = interaction.latest(target)
    if deadline is None and target is Target.PICK_UP:
        deadline = interaction.latest(Target.FIRST_RESPONSE)
    return None if deadline is None else _kept_waiting(deadline)


def _kept_waiting(deadline: Deadline) -> int | None:
    """Return since when the customer has waited because of this deadline; None if they do not wait."""
    if deadline.state is State.RUNNING:
        return deadline.since_ms - deadline.used_ms
    if deadline.state is State.BREACHED and not deadline.late:
        return deadline.since_ms
    return None
