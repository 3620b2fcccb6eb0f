"""The engine's indexes must contain what a slow search finds. A wrong index may decide correctly for long, only slower; so it is checked too."""

from services.router.domain.model import AgentState
from services.router.domain.pool.index import AgentGroup, Line, RequirementSet
from services.router.domain.pool.pool_state import PoolState


def true(core: PoolState) -> None:
    """Raise AssertionError when an index is wrong."""
    for group in core.roster.groups.values():
        buckets(group)
    homes(core)
    staffing(core)
    for requirement_set in core.lines._requirement_sets.values():
        admitted(core, requirement_set)
    orders(core)
    lines(core)
    teams(core)


def buckets(group: AgentGroup) -> None:
    """Check that each load bucket has members, in order, and that the counts of buckets with room, or with something to park, are right."""
    for load, bucket in group.buckets.items():
        assert bucket.load == load
        assert bucket.members == sorted(bucket.members) != []
        assert bucket.room == group.capacity.has_room(load)
    assert group.free == sum(bucket.room for bucket in group.buckets.values())
    assert group.interruptible == sum(bucket.interruptible for bucket in group.buckets.values())


def staffing(core: PoolState) -> None:
    """The number of agents at work for each queue is what counting them one by one gives, now and from what is remembered."""
    for queue in core.config.queues if core.config is not None else ():
        at_work = [
            agent
            for agent in core.agents.values()
            if agent.session_id
            and agent.state is AgentState.AVAILABLE
            and agent.group.serves(queue.name, queue.requirements)
        ]
        assert core.staff(queue.name) == len(at_work), queue.name


def homes(core: PoolState) -> None:
    """Check that agent groups with an agent who has room, or something that may be parked, are found at home and nowhere else."""
    groups = core.roster.groups.values()
    free = {(home, group) for group in groups if group.free for home in group.homes}
    assert {(home, group) for home, listed in core.roster._free.items() for group in listed} == free
    interruptible = {(home, group) for group in groups if group.interruptible for home in group.homes}
    assert {(home, group) for home, listed in core.roster._interruptible.items() for group in listed} == interruptible


def admitted(core: PoolState, requirement_set: RequirementSet) -> None:
    """Check that a requirement set and the agent groups that meet it list each other, and that those with room or something to park are found."""
    queue, selectors, others = requirement_set.key
    able = [group for group in core.roster.groups.values() if group.serves(queue, selectors, others)]
    assert set(requirement_set.groups) == set(able)
    assert len(requirement_set.groups) == len(able)
    assert {group for group in core.roster.groups.values() if requirement_set in group.requirement_sets} == set(able)
    assert set(core.roster.having_room(requirement_set, len(able) + 1)) == {group for group in able if group.free}
    assert set(core.roster.interruptible(requirement_set)) == {group for group in able if group.interruptible}


def orders(core: PoolState) -> None:
    """Check that exactly the agents with room are in the orders of the whole pool."""
    placed = {agent.id: (agent, agent.bucket) for agent in core.agents.values() if agent.bucket is not None}
    free = {name: (agent, bucket) for name, (agent, bucket) in placed.items() if bucket.room}
    by_idle = [ranked[1] for part in core.roster.by_idle() for ranked in part]
    assert by_idle == sorted(free, key=lambda a: (free[a][1].busy, free[a][0].ranked_since, a))
    by_load = [ranked[1] for part in core.roster.by_load() for ranked in part]
    assert by_load == sorted(free, key=lambda a: (free[a][1].ratio, free[a][0].ranked_since, a))
    by_turn = [ranked[1] for part in core.roster.by_turn() for ranked in part]
    assert by_turn == (sorted(free, key=lambda a: (free[a][0].turn, a)) if core.roster.rotates else [])


def lines(core: PoolState) -> None:
    """Check that lines in which something waits are in their lookups, and that each waiting interaction is in one of them, in order."""
    filled: set[Line] = {interaction.line for interaction in core.interactions.values() if interaction.line is not None}
    assert set(core.lines.filled) == filled
    for line in filled:
        assert line.ranks == sorted(each.rank for each in core.interactions.values() if each.line is line)
    queue_heads(core, filled)
    reserved = {(line.reserved_for, line) for line in filled if line.reserved_for}
    assert {(agent, line) for agent, kept in core.lines.reserved.items() for line in kept} == reserved
    assert all(core.lines.reserved.values())
    for queue in core.config.by_name if core.config is not None else ():
        here = {line for line in filled if line.requirement_set.key[0] == queue and not line.round}
        assert set(core.lines.of_queue(queue)) == here
        assert core.lines.anything_waits(queue) == bool(here)


def queue_heads(core: PoolState, filled: set[Line]) -> None:
    """Check the heads of the lines, by queue and channel, in the order of service; and that agents find those that they may take."""
    awake = {line for line in filled if not line.asleep and not line.reserved_for}
    found: set[Line] = set()
    for queue, channels in core.lines._queue_heads.items():
        for channel, heads in channels.items():
            assert heads == sorted(heads)
            for entry in heads:
                line = entry[-1]
                assert (line.requirement_set.queue.name, line.channel) == (queue, channel)
                assert entry == line.head == (line.round, *line.ranks[0], line)
                found.add(line)
    assert found == awake
    for group in core.roster.groups.values():
        seen = {entry[-1] for _, heads in core.lines.queue_heads(group) for entry in heads}
        assert seen >= {line for line in awake if line.requirement_set in group.requirement_sets}


def teams(core: PoolState) -> None:
    """Check the agents by team."""
    if core.config is not None:
        found = {(team, agent) for team, members in core.teams.items() for agent in members}
        assert found == {(a.profile.team, a.id) for a in core.agents.values() if a.profile.team}
