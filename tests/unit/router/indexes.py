"""What the engine keeps to be quick is what a slow look would find. A wrong index may decide right for long, only slower; so it is looked at too."""

from services.router.domain.lines import Line, Need
from services.router.domain.pool import Core
from services.router.domain.roster import Kind


def true(core: Core) -> None:
    """Raises AssertionError when an index does not tell the truth."""
    for kind in core.roster.kinds.values():
        cells(kind)
    for need in core.lines._needs.values():
        admitted(core, need)
    orders(core)
    lines(core)
    teams(core)


def cells(kind: Kind) -> None:
    """A cell has members, in order, and the counts of those with room, or with something to park, are right."""
    for load, cell in kind.cells.items():
        assert cell.load == load
        assert cell.members == sorted(cell.members) != []
        assert cell.room == kind.capacity.has_room(load)
    assert kind.free == sum(cell.room for cell in kind.cells.values())
    assert kind.soft == sum(cell.interruptible for cell in kind.cells.values())


def admitted(core: Core, need: Need) -> None:
    """A need knows the kinds that meet it, and which of them have room or something to park; and they know it."""
    queue, selectors, others = need.key
    able = [kind for kind in core.roster.kinds.values() if kind.serves(queue, selectors, others)]
    assert set(need.kinds) == set(able)
    assert len(need.kinds) == len(able)
    assert all(kind.needs.count(need) == 1 for kind in able)
    assert set(need.free) == {kind for kind in able if kind.free}
    assert set(need.soft) == {kind for kind in able if kind.soft}


def orders(core: Core) -> None:
    """Agents with room stand in the orders of the whole pool, and nobody else."""
    free = {agent.id: agent for agent in core.agents.values() if agent.cell is not None and agent.cell.room}
    by_idle = [standing[1] for part in core.roster.by_idle() for standing in part]
    assert by_idle == sorted(free, key=lambda a: (free[a].cell.busy, free[a].ranked_since, a))
    by_load = [standing[1] for part in core.roster.by_load() for standing in part]
    assert by_load == sorted(free, key=lambda a: (free[a].cell.ratio, free[a].ranked_since, a))
    by_turn = [standing[1] for part in core.roster.by_turn() for standing in part]
    assert by_turn == (sorted(free, key=lambda a: (free[a].turn, a)) if core.roster.rotates else [])


def lines(core: Core) -> None:
    """Lines in which something waits, by what they are looked up by; what waits stands in one of them, in order."""
    filled: set[Line] = {work.line for work in core.works.values() if work.line is not None}
    assert set(core.lines.filled) == filled
    for line in filled:
        assert line.ranks == sorted(work.rank for work in line.works.values())
        assert {work.rank for work in core.works.values() if work.line is line} == set(line.ranks)
        assert (line in line.need.open) == (not line.asleep and not line.reserved_for)
    for need in core.lines._needs.values():
        assert all(line.ranks for line in need.open)
    reserved = {(line.reserved_for, line) for line in filled if line.reserved_for}
    assert {(agent, line) for agent, kept in core.lines.reserved.items() for line in kept} == reserved
    assert all(core.lines.reserved.values())
    for queue in core.config.by_name if core.config is not None else ():
        here = {line for line in filled if line.need.key[0] == queue and not line.round}
        assert set(core.lines.of_queue(queue)) == here
        assert core.lines.anything_waits(queue) == bool(here)


def teams(core: Core) -> None:
    """Agents by team."""
    if core.config is not None:
        found = {(team, agent) for team, members in core.teams.items() for agent in members}
        assert found == {(a.profile.team, a.id) for a in core.agents.values() if a.profile.team}
