"""Entities of the changelog: any content comes back through the codec, and entries of version 1 can be read."""

from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Selector,
)
from services.router.domain.changelog.config_state import dump_config, load_config
from services.router.domain.changelog.snapshot import Restorer
from services.router.domain.commands import ReplyTo
from services.router.domain.effects import OfferRationale
from services.router.domain.model import AgentState, InteractionAttributes, Stage
from services.router.domain.pool.state import NO_AGENT, Agent, Interaction, Offer, Session, load_profile
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
WHOEVER = st.just(NO_AGENT) | st.tuples(TEXTS.filter(bool), NUMBERS)
INTERACTIONS = filled(
    Interaction,
    ("line", "rank", "wake_at"),
    attributes=filled(InteractionAttributes, requirements=SELECTORS, labels=PAIRS),
    offers=OFFERS,
    declined=st.dictionaries(TEXTS, st.integers(-9, 2**40), max_size=2),
    ended=st.dictionaries(TEXTS, WHO, max_size=2),
    overflowed=NAMES,
    announced=st.tuples(NUMBERS, NUMBERS),
    rationale=RATIONALES,
    transferring_agent=WHOEVER,
)
PROFILES = filled(AgentProfile, skills=LEVELS, queues=NAMES)
DERIVED = ("skills", "load", "offers", "held", "parked", "group", "bucket", "idle_rank", "ranked_turn", "rest_at")
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


def through_the_codec(value: Any) -> Any:
    """Return a value as the changelog returns it: lists for tuples."""
    return codec.decode(codec.encode(value))


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
    again = Interaction.load(through_the_codec(interaction.dump()))
    assert again == interaction
    assert types(again) == types(interaction)


@QUICK
@given(filled(Agent, DERIVED, profile=PROFILES))
def test_an_agent_comes_back(agent: Agent) -> None:
    again = Agent.load_from(through_the_codec(agent.dump()))
    assert again == agent
    assert types(again) == types(agent)


@QUICK
@given(filled(Session, gateway=filled(ReplyTo)))
def test_a_session_comes_back(session: Session) -> None:
    assert Session.load(through_the_codec(session.dump())) == session


@QUICK
@given(POOLS)
def test_a_configuration_comes_back(pool: PoolConfig) -> None:
    again = load_config(through_the_codec(dump_config(pool)))
    assert again == pool
    assert types(again) == types(pool)


# Version 1


def a_first_work(offer: Any = None, ended: Any = ("", "", 0), kept: Any = ("", 0), declined: Any = ()) -> Interaction:
    """Return an interaction as version 1 wrote it."""
    attributes = (
        "i",
        "c",
        "p",
        "n",
        "chat",
        "acc",
        "fa",
        "q",
        3,
        [["french", 6, 4, "", [], 0, 1]],
        [["a", "b"]],
        START,
        "r",
        False,
    )
    first = (
        attributes,
        2,
        START + 1,
        START + 2,
        7,
        5,
        offer,
        "b",
        START + 3,
        0,
        True,
        declined,
        *kept,
        ended,
        "WHY",
        START + 4,
    )
    return Interaction.load(through_the_codec((*first, (START, 2, 3, [["b", [["idle_ms", 5]]]]))))


def test_an_interaction_of_version_one_is_read() -> None:
    """Later fields have their empty values: nothing parked, fired, announced or transferred; its key is its arrival."""
    interaction = a_first_work(offer=("i.5", "b", START, START + 9, "LONGEST_IDLE"), declined=[["c", -2]])
    assert interaction == Interaction(
        InteractionAttributes(
            "i",
            "c",
            "p",
            "n",
            "chat",
            "acc",
            "fa",
            "q",
            3,
            (requires("french", 4, weight=1.0),),
            (("a", "b"),),
            START,
            "r",
        ),
        Stage.OFFERED,
        START + 1,
        START + 2,
        waited=7,
        epoch=5,
        offers={"b": Offer("i.5", "b", START, START + 9, "LONGEST_IDLE")},
        agent_id="b",
        assigned_at=START + 3,
        replied=True,
        declined={"c": -2},
        key=START,
        reason="WHY",
        decided_at=START + 4,
        rationale=OfferRationale(START, 2, 3, (("b", (("idle_ms", 5.0),)),)),
    )


def test_in_version_one_an_endless_reservation_was_a_transfer_to_the_agent() -> None:
    """It waits for that agent for five minutes from its queueing; an interaction kept for a time is kept until then."""
    handed, kept = a_first_work(kept=("b", 0)), a_first_work(kept=("b", START + 9))
    assert (handed.reserved_for, handed.reserved_until, handed.handed_on) == ("b", START + 1 + 300_000, True)
    assert (kept.reserved_for, kept.reserved_until, kept.handed_on) == ("b", START + 9, False)
    assert not a_first_work().handed_on


def test_in_version_one_the_newest_ended_offer_is_known() -> None:
    assert a_first_work(ended=("i.4", "b", 1)).ended == {"i.4": ("b", 1)}
    assert a_first_work().ended == {}


def test_an_agent_and_a_profile_of_version_one_are_read() -> None:
    raw = (("a", "Sara", [["x", 2]], "p", ["q"]), 2, START, "s", 4, START + 1, START + 2, 9)
    agent = Agent.load_from(through_the_codec(raw))
    profile = AgentProfile("a", "Sara", (("x", 2.0),), "p", ("q",))
    assert agent == Agent(profile, AgentState.AVAILABLE, START, "s", 4, START + 1, START + 2, 9)
    assert load_profile((*raw[0], "north")).team == "north"


def test_a_configuration_of_version_one_is_read() -> None:
    queue: tuple[Any, ...] = ("q", 1, [], 1, 2_000, 3_000, 4_000, 5, 6_000)
    pool = load_config(through_the_codec((7, 1, 2, [queue], [["p", 3, [["chat", 1, 2, True]], 4]])))
    assert pool.queues == (
        QueueConfig(
            "q",
            1,
            offer_ms=2_000,
            wrap_up_ms=3_000,
            sticky_ms=4_000,
            ageing_per_minute=5.0,
            service_level_ms=6_000,
        ),
    )
    assert (pool.version, pool.lease_ms, pool.grace_ms) == (7, 1, 2)
    profile = pool.profiles[0]
    assert (profile.name, profile.total, profile.default_weight) == ("p", 3, 4)
    assert (profile.channels[0].channel, profile.channels[0].maximum, profile.channels[0].exclusive) == (
        "chat",
        2,
        True,
    )
    assert (profile.occupancy_limit, profile.occupancy_window_ms) == (0.0, 600_000)


def test_an_entity_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no entity of kind 'x' is known"):
        Restorer().add("x", "name", ())
