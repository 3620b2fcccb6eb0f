"""What an apply does to work: the parts that it removes or moves, and the work that each has."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2, router_pb2
from services.cli.config.impact import Change, Part, Work, changes, counted, needs_waiting, total


def a_shop(
    queues: Mapping[str, str], agents: Mapping[str, str], skills: tuple[str, ...] = (), channels: tuple[str, ...] = ()
) -> config_pb2.TenantConfiguration:
    """Return a configuration: the pool of each queue and agent, and accounts of channels as channel/account."""
    pools = dict.fromkeys([*queues.values(), *agents.values()])
    return config_pb2.TenantConfiguration(
        tenant="shop",
        pools=[config_pb2.Pool(name=name) for name in pools],
        queues=[config_pb2.Queue(name=name, pool=pool) for name, pool in queues.items()],
        agents=[config_pb2.AgentProfile(agent_id=name, pool=pool) for name, pool in agents.items()],
        skills=[config_pb2.Skill(name=name) for name in skills],
        channels=[
            config_pb2.ChannelAccount(channel=name.partition("/")[0], account=name.partition("/")[2])
            for name in channels
        ],
    )


BEFORE = a_shop(
    {"sales": "default", "support": "default", "night": "night"},
    {"ali": "default", "mina": "default", "omid": "night"},
    ("french",),
    ("email/main", "webchat/main"),
)


def an_interaction(name: str, channel: str = "email", skill: str = "") -> records_pb2.InteractionAttributes:
    selectors = [types_pb2.Selector(any_of=[types_pb2.Selector(attribute=skill)])] if skill else []
    return records_pb2.InteractionAttributes(
        interaction_id=name, channel=channel, account="main", requirements=selectors
    )


def an_agent(name: str, held: tuple[str, ...] = (), offered: tuple[str, ...] = ()) -> router_pb2.AgentView:
    snapshot = records_pb2.AgentSnapshot(
        offers=[records_pb2.OfferView(offer_id=f"{each}.1", interaction=an_interaction(each)) for each in offered],
        assignments=[records_pb2.AssignmentView(interaction=an_interaction(each)) for each in held],
    )
    return router_pb2.AgentView(profile=config_pb2.AgentProfile(agent_id=name), snapshot=snapshot)


WORK = Work(
    {
        "default": [
            router_pb2.QueueView(queue="sales", waiting=2, offered=1, assigned=3),
            router_pb2.QueueView(queue="support"),
        ],
        "night": [router_pb2.QueueView(queue="night", waiting=5)],
    },
    {"default": [an_agent("ali", ("a", "b"), ("c",)), an_agent("mina")], "night": [an_agent("omid")]},
    {"default": [router_pb2.WaitingView(interaction=an_interaction("d", "webchat", "french"))], "night": []},
)


def found(after: config_pb2.TenantConfiguration) -> dict[tuple[Part, str], Change]:
    """Return the changes with their numbers."""
    return {(each.part, each.name): each for each in counted(changes(BEFORE, after), WORK)}


def test_each_part_that_is_gone_is_listed_with_its_work() -> None:
    """Waiting work includes what is offered; an agent's work is what they hold and are offered."""
    after = a_shop({"support": "default"}, {"mina": "default"}, (), ("webchat/main",))
    listed = found(after)
    assert [(str(part), name, each.waiting, each.assigned) for (part, name), each in listed.items()] == [
        ("pool", "night", 5, 0),
        ("queue", "sales", 3, 3),
        ("queue", "night", 5, 0),
        ("agent", "ali", 1, 2),
        ("agent", "omid", 0, 0),
        ("skill", "french", 1, 0),
        ("channel", "email/main", 1, 2),
    ]
    assert listed[Part.QUEUE, "sales"].effect == "its work goes to queue support, in order"
    assert listed[Part.QUEUE, "night"].effect == "its work goes to queue support of pool default, in order"


def test_what_moves_to_another_pool_says_where() -> None:
    after = a_shop(
        {"sales": "night", "support": "default", "night": "night"},
        {"ali": "night", "mina": "default", "omid": "night"},
        ("french",),
        ("email/main", "webchat/main"),
    )
    moved = found(after)
    assert {name: each.to_pool for (_, name), each in moved.items()} == {"sales": "night", "ali": "night"}
    assert total(moved.values()) == (
        "queue sales is moved to pool night (3 waiting, 3 assigned); agent ali is moved to pool night (1 waiting, 2 assigned)"
    )


def test_only_parts_with_work_affect_work_and_unknown_work_counts() -> None:
    """Mina holds nothing. While the router can't be asked, that is not known."""
    after = a_shop(
        {"sales": "default", "support": "default", "night": "night"},
        {"ali": "default", "omid": "night"},
        ("french",),
        ("email/main", "webchat/main"),
    )
    (mina,) = found(after).values()
    assert (mina.affects_work, total([mina])) == (False, "")
    (unasked,) = changes(BEFORE, after)
    assert (unasked.affects_work, total([unasked])) == (True, "agent mina is removed (work not known)")


@pytest.mark.parametrize(("part", "asks"), [(Part.SKILL, True), (Part.CHANNEL, True), (Part.QUEUE, False)])
def test_each_waiting_interaction_is_read_only_where_the_router_has_no_count(part: Part, asks: bool) -> None:
    assert needs_waiting([Change(part, "x", "", "", "")]) is asks


def test_an_empty_pool_is_the_default_one() -> None:
    """A queue without a pool, and one in `default`, are in the same pool: nothing moves."""
    one, other = a_shop({"q": ""}, {}), a_shop({"q": "default"}, {})
    assert [each.part for each in changes(one, other)] == []


POOLS = st.dictionaries(st.sampled_from("pqrs"), st.sampled_from(["default", "a", "b"]))


@given(POOLS, POOLS, POOLS, POOLS)
def test_a_part_is_listed_exactly_when_it_is_gone_or_in_another_pool(
    queues: dict[str, str], queues_after: dict[str, str], agents: dict[str, str], agents_after: dict[str, str]
) -> None:
    listed = changes(a_shop(queues, agents), a_shop(queues_after, agents_after))
    for part, old, new in ((Part.QUEUE, queues, queues_after), (Part.AGENT, agents, agents_after)):
        expected = {(name, pool, new.get(name, "")) for name, pool in old.items() if new.get(name) != pool}
        assert {(each.name, each.pool, each.to_pool) for each in listed if each.part is part} == expected
    assert changes(a_shop(queues, agents), a_shop(queues, agents)) == ()
    assert all(replace(each, waiting=0, assigned=0).affects_work is False for each in listed)
