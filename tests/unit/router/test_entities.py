"""Entities of the changelog: any content comes back through the codec, and entries of version 2 can be read."""

from dataclasses import fields
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Selector,
    Trigger,
)
from services.router.domain.changelog.configuration import dump_config, load_config
from services.router.domain.changelog.entities import (
    dump_agent,
    dump_interaction,
    dump_session,
    load_agent,
    load_interaction,
    load_session,
)
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import OfferRationale
from services.router.domain.entries import CommandsEntry, HistoryEntry, Value
from services.router.domain.model import ExclusionReason, InteractionAttributes, Stage
from services.router.domain.pool.history import History
from services.router.domain.pool.state import Agent, Exclusion, Interaction, Offer, Session
from services.router.translate import codec
from tests.unit.router.world import START, requires

QUICK = settings(max_examples=30, derandomize=True, database=None)
TEXTS = st.sampled_from(["", "a", "b", "چاپار"])
NUMBERS = st.integers(0, 2**40)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.lists(st.tuples(NUMBERS, FLOATS), max_size=2).map(tuple)
WHO = st.tuples(TEXTS, NUMBERS)


def filled(kind: type[Any], leave: tuple[str, ...] = (), **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a dataclass with all fields by their types, except those that keep their defaults."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.init and field.name not in leave]
    known: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXTS,
        int: NUMBERS,
        float: FLOATS,
        bool: st.booleans(),
        tuple[str, int]: WHO,
    }

    def of(name: str) -> st.SearchStrategy[Any]:
        if name in given_:
            return given_[name]
        return known[hints[name]] if hints[name] in known else st.from_type(hints[name])

    return st.builds(kind, **{name: of(name) for name in names})


PLAIN = st.builds(Selector, TEXTS, number=FLOATS, text=TEXTS, texts=st.tuples(TEXTS), weight=FLOATS, steps=STEPS)
SELECTORS = st.lists(
    PLAIN
    | st.builds(Selector, TEXTS, any_of=st.tuples(PLAIN, PLAIN))
    | st.builds(Selector, TEXTS, expires_after_ms=NUMBERS, all_of=st.tuples(PLAIN)),
    max_size=2,
).map(tuple)
NAMES = st.lists(TEXTS, max_size=2).map(tuple)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple)
LEVELS = st.lists(st.tuples(TEXTS, FLOATS), max_size=2).map(tuple)
OFFERS = st.lists(filled(Offer), max_size=2).map(lambda offers: {offer.agent_id: offer for offer in offers})
RATIONALES = st.builds(
    OfferRationale, NUMBERS, NUMBERS, NUMBERS, st.lists(st.tuples(TEXTS, LEVELS), max_size=2).map(tuple)
)
EXCLUSIONS = st.lists(filled(Exclusion, ends=st.integers(-9, 2**40)), min_size=1, max_size=2).map(tuple)
INTERACTIONS = filled(
    Interaction,
    ("line", "rank", "wake_at", "light", "silence_at"),
    attributes=filled(InteractionAttributes, requirements=SELECTORS, labels=PAIRS),
    offers=OFFERS,
    exclusions=st.dictionaries(TEXTS, EXCLUSIONS, max_size=2),
    ended=st.dictionaries(TEXTS, WHO, max_size=2),
    overflowed=NAMES,
    announced=st.tuples(NUMBERS, NUMBERS),
    rationale=RATIONALES,
)
PROFILES = filled(AgentProfile, skills=LEVELS, queues=NAMES)
DERIVED = (
    "skills",
    "at_work",
    "load",
    "offers",
    "held",
    "parked",
    "group",
    "bucket",
    "idle_rank",
    "ranked_turn",
    "rest_at",
)
QUEUES = filled(
    QueueConfig,
    requirements=SELECTORS,
    pick_up_targets=st.lists(filled(PickUpTarget, channels=NAMES, tiers=NAMES), max_size=2).map(tuple),
    rings=st.lists(filled(Ring, drop=NAMES, lower=LEVELS, queues=NAMES), max_size=2).map(tuple),
    overflow=st.lists(filled(OverflowRule, requirements=SELECTORS, set_priority=st.none() | NUMBERS), max_size=2).map(
        tuple
    ),
)
CHANNELS = st.lists(filled(ChannelCapacity, interrupts=NAMES), max_size=2).map(tuple)
POOLS = st.builds(
    PoolConfig,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    queues=st.lists(QUEUES, max_size=2).map(tuple),
    profiles=st.lists(filled(CapacityProfile, channels=CHANNELS), max_size=2).map(tuple),
)


def through_the_codec(kind: str, value: Value) -> Any:
    """Return a value as the changelog returns it."""
    return codec.decode(kind, codec.encode(value))


def types(value: Any) -> Any:
    """Return all types in a value: the compiled engine would not accept a list for a tuple, nor a replay 1 for 1.0."""
    if isinstance(value, tuple | list):
        return type(value), [types(v) for v in value]
    if isinstance(value, dict):
        return type(value), [types(v) for v in value.values()]
    if hasattr(value, "__dataclass_fields__"):
        return type(value), [types(getattr(value, f.name)) for f in fields(value) if f.init]
    return type(value)


@QUICK
@given(INTERACTIONS)
def test_an_interaction_comes_back(interaction: Interaction) -> None:
    again = load_interaction(through_the_codec("i", dump_interaction(interaction)))
    assert again == interaction
    assert types(again) == types(interaction)


@QUICK
@given(filled(Agent, DERIVED, profile=PROFILES))
def test_an_agent_comes_back(agent: Agent) -> None:
    again = load_agent(through_the_codec("a", dump_agent(agent)))
    assert again == agent
    assert types(again) == types(agent)


@QUICK
@given(filled(Session, gateway=filled(ReplyTo)))
def test_a_session_comes_back(session: Session) -> None:
    assert load_session(through_the_codec("s", dump_session(session))) == session


@QUICK
@given(POOLS)
def test_a_configuration_comes_back(pool: PoolConfig) -> None:
    again = load_config(through_the_codec("c", dump_config(pool)))
    assert again == pool
    assert types(again) == types(pool)


# Version 2


def of_version_two(kind: str, *fields: Any) -> Any:
    """Return an entry as version 2 wrote it."""
    return codec.decode(kind, b"\x02" + msgspec.msgpack.encode(fields))


def test_an_interaction_of_version_two_is_read() -> None:
    """It has no match window: a requirement ends before its steps, and a rationale before its batch."""
    requirement = ("french", 6, 4.0, "", (), 0, 1.0)
    attributes = ("i", "c", "p", "n", "chat", "acc", "fa", "q", 3, [requirement], [("a", "b")], START, "r", False)
    entry = of_version_two(
        "i",
        (*attributes, 0, 0, "", "north"),
        2,
        START + 1,
        START + 2,
        7,
        5,
        [("i.5", "b", START, START + 9, "LONGEST_IDLE")],
        "",
        START + 3,
        0,
        True,
        False,
        [("c", -2)],
        ("", 0),
        "b",
        START + 20,
        True,
        0,
        0,
        False,
        START,
        1.0,
        ["q/late"],
        (-1, -1),
        [("i.4", "b", 1)],
        "WHY",
        START + 4,
        (START, 2, 3, [("b", [("idle_ms", 5.0)])]),
    )
    wanted = InteractionAttributes(
        *("i", "c", "p", "n", "chat", "acc", "fa", "q", 3),
        requirements=(requires("french", 4, weight=1.0),),
        labels=(("a", "b"),),
        arrived_at_ms=START,
        rule="r",
        preferred_team="north",
    )
    assert load_interaction(entry) == Interaction(
        wanted,
        Stage.OFFERED,
        START + 1,
        START + 2,
        waited=7,
        epoch=5,
        offers={"b": Offer("i.5", "b", START, START + 9, "LONGEST_IDLE")},
        assigned_at=START + 3,
        replied=True,
        exclusions={"c": (Exclusion(ExclusionReason.DECLINED, 0, -2),)},
        reserved_for="b",
        reserved_until=START + 20,
        handed_on=True,
        key=START,
        overflowed=("q/late",),
        ended={"i.4": ("b", 1)},
        reason="WHY",
        decided_at=START + 4,
        rationale=OfferRationale(START, 2, 3, (("b", (("idle_ms", 5.0),)),)),
    )


def test_a_configuration_of_version_two_is_read() -> None:
    """Its queues may end before the match window."""
    queue: tuple[Any, ...] = ("q", 1, [], 1, 2_000, 3_000, 4_000, 5.0, 6_000, 1, [], 0.8, 0, 1, 0, 0, 7_000, [], [])
    profile = ("p", 3, [("chat", 1, 2, True, ["mail"])], 4, 0.0, 600_000)
    pool = load_config(of_version_two("c", 7, 1, 2, [queue], [profile]))
    assert pool.queues == (
        QueueConfig(
            *("q", 1),
            choice=Choice.LONGEST_IDLE,
            offer_ms=2_000,
            wrap_up_ms=3_000,
            sticky_ms=4_000,
            ageing_per_minute=5.0,
            service_level_ms=6_000,
            order=Order.ARRIVAL,
            transfer_hold_ms=7_000,
        ),
    )
    assert pool.profiles == (CapacityProfile("p", 3, (ChannelCapacity("chat", 1, 2, True, ("mail",)),), 4),)
    assert (pool.version, pool.lease_ms, pool.grace_ms) == (7, 1, 2)


@pytest.mark.parametrize("version", [b"\x02", b"\x03"])
def test_a_history_with_intervals_is_read_and_its_pace_is_learnt_again(version: bytes) -> None:
    """Nothing says how many agents were at work during the intervals. Level, patience and demand stay; a factor is not a shift."""
    fields = [START, [10_000, 20_000], 3.0, 600_000.0, b"\x05", 3, START, [1, 2], 4.0, START, 1.5]
    found = codec.decode("q", version + msgspec.msgpack.encode(fields))
    assert isinstance(found, HistoryEntry)
    assert (found.since, found.departures, found.staffed_ms, found.learnt_at) == (START, 0.0, 0.0, 0)
    assert (found.left, found.exposure, found.level, found.outcomes) == (3.0, 600_000.0, b"\x05", 3)
    assert (found.minute_since, found.in_minute) == (START, (1, 2))
    assert (found.asked, found.asked_at) == (4.0, START)
    assert (found.shift_ms, found.ended_in, found.minutes) == (0.0, 0.0, 0.0)
    assert History.load(found).prospect_ms(START, 1, 1) == (-1, -1)


def test_an_overflow_rule_of_version_two_is_read() -> None:
    """It ends before the settings for unknown estimates and pending offers."""
    rule: tuple[Any, ...] = ("late", 2, 60_000.0, "other", None, 0, [], False, False)
    queue: tuple[Any, ...] = ("q", 1, [], 1, 2_000, 3_000, 4_000, 5.0, 6_000, 1, [], 0.8, 0, 1, 0, 0, 7_000, [], [rule])
    pool = load_config(of_version_two("c", 7, 1, 2, [queue], []))
    assert pool.queues[0].overflow == (OverflowRule("late", Trigger.WAIT, 60_000.0, "other"),)


# Refused entries


def test_an_entry_of_an_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="changelog entry of version 1, this program reads 2, 3, 4"):
        codec.decode("p", b"\x01" + msgspec.msgpack.encode("a"))
    with pytest.raises(ValueError, match="no version"):
        codec.decode("p", b"")


def test_an_entity_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no entity of kind 'x' is known"):
        codec.decode("x", codec.encode("a"))


def test_a_value_that_is_not_of_its_kind_is_refused() -> None:
    """A field with another type would be noticed much later, or never."""
    with pytest.raises(ValueError, match=r"Expected `int`, got `str` - at `\$\[3\]`"):
        codec.decode("s", b"\x04" + msgspec.msgpack.encode(("s", "a", "g", "1", 0, START, True)))
    with pytest.raises(ValueError, match="Expected `array`, got `int`"):
        codec.decode("l", codec.encode(CommandsEntry(START, (("c", ""),))))
