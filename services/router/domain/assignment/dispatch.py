"""The matching loop: called after every command and timer, with the waiting lines that changed and the agents that gained capacity.

Before the change, no interaction waited that could have been served. Only two sets of lines must be checked: lines that changed (`stirred`),
and lines that a freed agent can serve; for the latter, only the freed agents can take the head. The heads of these lines are taken in order
of urgency over all lines. Each head is offered to the best agent of the pool, not to the agent who happened to become free. Interactions of
queues that choose by skill score are matched as a batch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from services.policy.model.routing import Choice
from services.router.domain.assignment import overflow
from services.router.domain.assignment.choosing import consider, find, interrupts, room_for, together
from services.router.domain.assignment.ledger import offer
from services.router.domain.assignment.matching import Batch
from services.router.domain.model import Stage
from services.router.domain.pool.index import Line, Rank
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction


def run(core: PoolState) -> None:
    """Offer everything that can be offered, then apply the rules to what could not be offered."""
    if core.staffing.changed:
        overflow.note_staffing(core)
    while True:
        if core.overdue:
            overflow.apply_due(core)
        if core.stirred or core.freed:
            _offer_all(core)
        if core.entered:
            announce(core)
        if core.asking:
            overflow.ask(core)
        if not core.overdue and not core.stirred and not core.freed and not core.entered and not core.asking:
            return


Head = tuple[int, Rank, int, int, Line]
"""Number of open offers, urgency, place in the line, tie-break that is never needed, line: the least is served first."""


class _Heads:
    """The heads of the lines to look at, most urgent first; those with open offers come after all others."""

    __slots__ = ("_at", "_heap", "_now")

    def __init__(self, now: int, lines: Iterable[Line]) -> None:
        self._now = now
        self._at: dict[Line, Head] = {line: self._head(line, 0) for line in lines if line.ranks}
        self._heap: list[Head] = list(self._at.values())
        heapify(self._heap)

    def _head(self, line: Line, index: int) -> Head:
        return (line.round, line.urgency(index, self._now), index, id(line), line)

    def add(self, line: Line, index: int = 0) -> None:
        """Look at a line from a place onwards."""
        if line in self._at or index >= len(line.ranks):
            return
        head = self._at[line] = self._head(line, index)
        heappush(self._heap, head)

    def moved_up(self, line: Line, by: int) -> None:
        """Move a head forward: `by` interactions before its place have left the line, so the same interaction has a lower place."""
        if line in self._at:
            self.add(line, self._at.pop(line)[2] - by)

    def pop(self) -> tuple[Line, int] | None:
        """Return the line and the place of the most urgent head; None when there is none."""
        while self._heap:
            head = heappop(self._heap)
            line = head[4]
            if self._at.get(line) == head:
                del self._at[line]
                return line, head[2]
        return None

    def clear(self) -> None:
        """Remove all heads: there is nothing left to look at."""
        self._at.clear()
        self._heap.clear()


def _offer_all(core: PoolState) -> None:
    """Offer what can be offered. The two usual cases have a fast path: one agent gained capacity, or one line changed."""
    if not core.stirred and len(core.freed) == 1:
        _serve(core, core.agents[core.freed.popitem()[0]])
    elif not core.freed and len(core.stirred) == 1 and not _several(core, next(iter(core.stirred))):
        _offer_line(core, core.stirred.popitem()[0])
    else:
        _match(core)


def _matchable(line: Line) -> bool:
    """Whether interactions of a line are matched as a batch with others."""
    queue = line.queue
    return queue.choice is Choice.SKILL_SCORE and not (line.reserved_for or queue.keep_free or queue.prefer_rings)


def _several(core: PoolState, line: Line) -> bool:
    """Whether more than one interaction of a line can be matched now."""
    return len(line.ranks) > 1 and _matchable(line) and bool(core.roster.having_room(line.requirement_set, 1))


def _serve(core: PoolState, agent: Agent) -> None:
    """Serve one agent who gained capacity when nothing else has changed: offer them the most urgent interactions until they are full."""
    passed: dict[Line, int] = {}
    while _has_room(agent):
        if core.lines.reserved.get(agent.profile.agent_id):
            core.freed[agent.profile.agent_id] = None
            _match(core)
            return
        line = _most_urgent(core, agent, passed)
        if line is None:
            return
        if line.queue.keep_free:
            # Whether other agents are free counts too, so this agent alone does not decide it.
            core.freed[agent.profile.agent_id] = None
            _match(core)
            return
        index = passed.get(line, 0)
        interaction = core.interactions[line.at(index)]
        pick = consider(core, line, interaction, agent)
        if pick.agent is not None and pick.rationale is not None:
            offer(core, interaction, agent, pick.reason, pick.rationale, line.queue.offer_ms, pick.parked)
        else:
            passed[line] = index + 1 if pick.only_passed_over else len(line.ranks)


def _most_urgent(core: PoolState, agent: Agent, passed: Mapping[Line, int]) -> Line | None:
    """Return the line with the most urgent next interaction among the lines that an agent may serve.

    `passed`: for each line, how many of its first interactions the agent may not take.
    """
    now = core.now
    best: tuple[int, int, int, str] | None = None
    found: Line | None = None
    could: dict[str, bool] = {}
    group = agent.group
    for channel, heads in core.lines.queue_heads(group):
        fits = could.get(channel)
        if fits is None:
            fits = could[channel] = _could_take(agent, channel)
        if not fits:
            continue
        for entry in heads:
            line = entry[4]
            if line.requirement_set not in group.requirement_sets:
                continue
            index = passed.get(line, 0) if passed else 0
            if index < len(line.ranks):
                static, key, interaction_id = line.ranks[index]
                head = (line.round, static - line.base - line.growth * now, key, interaction_id)
                if best is None or head < best:
                    best, found = head, line
            if not index:
                break  # lines behind this one are served later
    return found


def _offer_line(core: PoolState, line: Line) -> None:
    """Serve one line that changed, when no agent gained capacity."""
    index = 0
    while index < len(line.ranks):
        interaction = core.interactions[line.at(index)]
        pick = find(core, line, interaction, None)
        if pick.agent is not None and pick.rationale is not None:
            offer(core, interaction, pick.agent, pick.reason, pick.rationale, line.queue.offer_ms, pick.parked)
        elif pick.only_passed_over:
            index += 1
        else:
            return


def _match(core: PoolState) -> None:
    """Serve several agents and several lines: the general case."""
    wide = {line for line in core.stirred if line.ranks}
    freed = [agent for agent_id in core.freed if _has_room(agent := core.agents[agent_id])]
    narrow = _lines_of_freed(core, freed, wide)
    core.stirred.clear()
    core.freed.clear()
    heads, batch = _Heads(core.now, (*wide, *narrow)), Batch()
    while (head := heads.pop()) is not None or batch.entries:
        if head is None:
            batch = _offer_batch(core, batch, heads, wide)
            continue
        line, index = head
        among = None
        if line not in wide:
            among = [agent for agent in narrow[line] if _could_take(agent, line.channel)]
            if not among:
                if not wide and not any(_has_room(agent) for agent in freed):
                    heads.clear()
                continue
        interaction = core.interactions[line.at(index)]
        room = room_for(core, line, interaction, among) if _matchable(line) else None
        if room is not None and room.openings and batch.takes(line):
            if batch.add(line, interaction, room):
                heads.add(line, index + 1)
                continue
            if not interrupts(core, line, interaction, among):
                if room.passed:
                    heads.add(line, index + 1)
                continue
        pick = find(core, line, interaction, among)
        if pick.agent is None or pick.rationale is None:
            if pick.only_passed_over:
                heads.add(line, index + 1)
        elif batch.entries:
            # Its turn comes after those before it, and it takes what they leave.
            heads.add(line, index)
            batch = _offer_batch(core, batch, heads, wide)
        else:
            offer(core, interaction, pick.agent, pick.reason, pick.rationale, line.queue.offer_ms, pick.parked)
            if interaction.line is not None:
                wide.add(interaction.line)
                heads.add(interaction.line)
            heads.add(line, index)
    core.stirred.clear()


def _offer_batch(core: PoolState, batch: Batch, heads: _Heads, wide: set[Line]) -> Batch:
    """Offer the matched interactions, in the order of service, and return an empty batch."""
    chosen = batch.matched()
    total = -sum(entry.room.openings[mine][0] for entry, mine in zip(batch.entries, chosen, strict=True))
    for entry, mine in zip(batch.entries, chosen, strict=True):
        pick = together(core, entry.room, mine, len(chosen) - 1, round(total, 9))
        assert pick.agent is not None
        assert pick.rationale is not None
        offer(core, entry.interaction, pick.agent, pick.reason, pick.rationale, entry.line.queue.offer_ms, ())
        line = entry.interaction.line
        if line is not None:
            wide.add(line)
            heads.add(line)
    for matched, left in Counter(entry.line for entry in batch.entries).items():
        heads.moved_up(matched, left)
    return Batch()


def _has_room(agent: Agent) -> bool:
    bucket = agent.bucket
    return bucket is not None and (bucket.room or bucket.interruptible)


def _could_take(agent: Agent, channel: str) -> bool:
    """Whether an agent is ready and has room for a channel, or can make room by parking something."""
    bucket = agent.bucket
    if bucket is None:
        return False
    capacity = agent.group.capacity
    return capacity.fits(agent.load, channel) or (bucket.interruptible and bool(capacity.interrupts(channel)))


def _lines_of_freed(core: PoolState, freed: list[Agent], wide: set[Line]) -> dict[Line, list[Agent]]:
    """Return the lines that freed agents may serve, each with these agents.

    Lines for which it also counts which other agents are free are added to `wide` instead.
    """
    narrow: dict[Line, list[Agent]] = {}
    for agent in freed:
        for line in core.lines.reserved.get(agent.profile.agent_id, ()):
            if not line.asleep:
                wide.add(line)
        group = agent.group
        for channel, heads in core.lines.queue_heads(group):
            if not _could_take(agent, channel):
                continue
            for entry in heads:
                line = entry[4]
                if line in wide or line.requirement_set not in group.requirement_sets:
                    continue
                if line.queue.keep_free:
                    wide.add(line)
                else:
                    narrow.setdefault(line, []).append(agent)
    return narrow


def announce(core: PoolState) -> None:
    """Fill in the announcement of each interaction that entered a queue: its position now, and its estimated wait."""
    entered, core.entered = core.entered, []
    for interaction, queued in entered:
        position, p50, p90 = _prospect(core, interaction, queued.attributes.queue)
        # Stored as the whole wait, including the wait so far: that is what the assignment is compared with.
        so_far = interaction.waited_ms(core.now)
        interaction.announced = (p50 + so_far, p90 + so_far) if p50 >= 0 else (-1, -1)
        queued.position, queued.estimated_wait_ms, queued.estimated_p90_ms = position, p50, p90


def _prospect(core: PoolState, interaction: Interaction, queue: str) -> tuple[int, int, int]:
    """Return the position from 1, and the P50 and P90 of its wait, milliseconds; 0 and -1 when unknown."""
    if interaction.stage is Stage.OFFERED:
        return 1, 0, 0
    if interaction.line is None:
        return 0, -1, -1
    position = 1 + core.lines.ahead(queue, interaction.rank)
    history = core.histories.get(queue)
    if history is None:
        return position, -1, -1
    groups = interaction.line.requirement_set.groups
    if interaction.attributes.requirements and not any(group.at_work for group in groups):
        return position, -1, -1  # agents are at work for the queue, and none of them could take it
    return position, *history.prospect_ms(core.now, position, core.staff(queue))
