"""The engine's indexes must contain what a slow search finds. A wrong index may decide correctly for long, only slower; so it is checked too."""

from services.router.domain.pool.core import Core
from services.router.domain.pool.lines import Line, RequirementSet
from services.router.domain.pool.roster import AgentGroup


def true(core: Core) -> None:
    """Raise AssertionError when an index is wrong."""
    for kind in core.roster.kinds.values():
        buckets(kind)
    homes(core)
    for need in core.lines._needs.values():
        admitted(core, need)
    orders(core)
    lines(core)
    teams(core)


def buckets(kind: AgentGroup) -> None:
    """Check that each cell has members, in order, and that the counts of cells with room, or with something to park, are right."""
    for load, cell in kind.buckets.items():
        assert cell.load == load
        assert cell.members == sorted(cell.members) != []
        assert cell.room == kind.capacity.has_room(load)
    assert kind.free == sum(cell.room for cell in kind.buckets.values())
    assert kind.interruptible == sum(cell.interruptible for cell in kind.buckets.values())


def homes(core: Core) -> None:
    """Check that kinds with an agent who has room, or something that may be parked, are found at home and nowhere else."""
    kinds = core.roster.kinds.values()
    free = {(home, kind) for kind in kinds if kind.free for home in kind.homes}
    assert {(home, kind) for home, listed in core.roster._free.items() for kind in listed} == free
    interruptible = {(home, kind) for kind in kinds if kind.interruptible for home in kind.homes}
    assert {(home, kind) for home, listed in core.roster._interruptible.items() for kind in listed} == interruptible


def admitted(core: Core, need: RequirementSet) -> None:
    """Check that a need and the kinds that meet it list each other, and that those with room or something to park are found."""
    queue, selectors, others = need.key
    able = [kind for kind in core.roster.kinds.values() if kind.serves(queue, selectors, others)]
    assert set(need.kinds) == set(able)
    assert len(need.kinds) == len(able)
    assert {kind for kind in core.roster.kinds.values() if need in kind.needs} == set(able)
    assert set(core.roster.having_room(need, len(able) + 1)) == {kind for kind in able if kind.free}
    assert set(core.roster.interruptible(need)) == {kind for kind in able if kind.interruptible}


def orders(core: Core) -> None:
    """Check that exactly the agents with room are in the orders of the whole pool."""
    free = {agent.id: agent for agent in core.agents.values() if agent.cell is not None and agent.cell.room}
    by_idle = [agent_state[1] for part in core.roster.by_idle() for agent_state in part]
    assert by_idle == sorted(free, key=lambda a: (free[a].cell.busy, free[a].ranked_since, a))
    by_load = [agent_state[1] for part in core.roster.by_load() for agent_state in part]
    assert by_load == sorted(free, key=lambda a: (free[a].cell.ratio, free[a].ranked_since, a))
    by_turn = [agent_state[1] for part in core.roster.by_turn() for agent_state in part]
    assert by_turn == (sorted(free, key=lambda a: (free[a].turn, a)) if core.roster.rotates else [])


def lines(core: Core) -> None:
    """Check that lines in which something waits are in their lookups, and that each waiting interaction is in one of them, in order."""
    filled: set[Line] = {interaction.line for interaction in core.interactions.values() if interaction.line is not None}
    assert set(core.lines.filled) == filled
    for line in filled:
        assert line.ranks == sorted(interaction.rank for interaction in line.interactions.values())
        assert {interaction.rank for interaction in core.interactions.values() if interaction.line is line} == set(
            line.ranks
        )
    queue_heads(core, filled)
    reserved = {(line.reserved_for, line) for line in filled if line.reserved_for}
    assert {(agent, line) for agent, kept in core.lines.reserved.items() for line in kept} == reserved
    assert all(core.lines.reserved.values())
    for queue in core.config.by_name if core.config is not None else ():
        here = {line for line in filled if line.need.key[0] == queue and not line.round}
        assert set(core.lines.of_queue(queue)) == here
        assert core.lines.anything_waits(queue) == bool(here)


def queue_heads(core: Core, filled: set[Line]) -> None:
    """Check the heads of the lines, by queue and channel, in the order of service; and that agents find those that they may take."""
    awake = {line for line in filled if not line.asleep and not line.reserved_for}
    found: set[Line] = set()
    for queue, channels in core.lines._queue_heads.items():
        for channel, front in channels.items():
            assert front == sorted(front)
            for first in front:
                line = first[-1]
                assert (line.need.queue.name, line.channel) == (queue, channel)
                assert first == line.first == (line.round, *line.ranks[0], line)
                found.add(line)
    assert found == awake
    for kind in core.roster.kinds.values():
        seen = {first[-1] for _, front in core.lines.queue_heads(kind) for first in front}
        assert seen >= {line for line in awake if line.need in kind.needs}


def teams(core: Core) -> None:
    """Check the agents by team."""
    if core.config is not None:
        found = {(team, agent) for team, members in core.teams.items() for agent in members}
        assert found == {(a.profile.team, a.id) for a in core.agents.values() if a.profile.team}
