"""What became of a delivery depends on the facts, not on their order."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.delivery_facts import (
    DeliveryFact,
    DeliveryState,
    Facts,
    FactSource,
    merged,
    verdict,
)

QUEUED, SENT, FAILED, UNKNOWN, ATTEMPTING, DELIVERED, READ = DeliveryState
FACT_STATES = (SENT, FAILED, UNKNOWN, DELIVERED, READ)
GOODNESS = (UNKNOWN, SENT, FAILED, DELIVERED, READ)
"""The states of one part: each later one wins over the earlier ones."""

facts_in_any_order = st.lists(
    st.builds(
        DeliveryFact,
        part=st.integers(0, 3),
        state=st.sampled_from(FACT_STATES),
        at_ms=st.integers(0, 5),
        source=st.sampled_from(FactSource),
        reason=st.sampled_from(("", "WHATSAPP_131026", "BOUNCED_5_1_1")),
        retryable=st.booleans(),
    ),
    max_size=12,
)


def together(*facts: DeliveryFact) -> Facts:
    """Merge the facts in this order."""
    found: Facts = ()
    for fact in facts:
        found = merged(found, fact)
    return found


def a_fact(state: DeliveryState, at_ms: int = 1, part: int = 0, reason: str = "") -> DeliveryFact:
    """A statement of the provider."""
    return DeliveryFact(part, state, at_ms, FactSource.PROVIDER, reason)


def state_of(*facts: DeliveryFact, parts: int = 1) -> DeliveryState | None:
    """Return the state after these facts."""
    found = verdict(together(*facts), parts)
    return found.state if found is not None else None


@given(facts_in_any_order, st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(facts: list[DeliveryFact], random: object) -> None:
    """Facts in any order give the same facts, and therefore the same verdict."""
    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    assert together(*facts) == together(*shuffled)


@given(facts_in_any_order)
def test_repeated_facts_change_nothing(facts: list[DeliveryFact]) -> None:
    """A provider that repeats all its reports changes nothing."""
    once = together(*facts)
    assert together(*facts, *facts, *reversed(facts)) == once


@given(facts_in_any_order)
def test_a_further_fact_never_takes_a_part_back(facts: list[DeliveryFact]) -> None:
    """The state of a delivery of one part only advances: UNKNOWN, SENT, FAILED, DELIVERED, READ."""
    found: Facts = ()
    reached = -1
    for fact in facts:
        if fact.part > 1:
            continue
        found = merged(found, fact)
        known = verdict(found)
        assert known is not None
        assert GOODNESS.index(known.state) >= reached
        reached = GOODNESS.index(known.state)


@given(facts_in_any_order)
def test_the_number_of_facts_is_bounded(facts: list[DeliveryFact]) -> None:
    """There is at most one fact for each state of each part, however many arrive."""
    found = together(*facts)
    assert len(found) == len({(fact.part, fact.state) for fact in facts})


@given(facts_in_any_order, st.integers(1, 3))
def test_a_delivery_is_as_good_as_its_worst_part(facts: list[DeliveryFact], parts: int) -> None:
    """No part is in a worse state than the delivery."""
    found = together(*facts)
    whole = verdict(found, parts)
    if whole is None:
        return
    goodness = (FAILED, UNKNOWN, SENT, DELIVERED, READ)
    for part in range(1, parts + 1):
        own = verdict(tuple(DeliveryFact(1, f.state, f.at_ms) for f in found if f.part in (0, part)))
        assert own is None or goodness.index(own.state) >= goodness.index(whole.state)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ((SENT,), SENT),
        ((SENT, DELIVERED), DELIVERED),
        ((READ,), READ),
        ((SENT, READ), READ),
        ((UNKNOWN, SENT), SENT),
        ((UNKNOWN, FAILED), FAILED),
        ((SENT, FAILED), FAILED),
        ((SENT, FAILED, DELIVERED), DELIVERED),
        ((SENT, DELIVERED, FAILED, READ), READ),
        ((UNKNOWN, READ), READ),
    ],
)
def test_states_in_every_order(facts: tuple[DeliveryState, ...], state: DeliveryState) -> None:
    """READ implies DELIVERED; FAILED wins over SENT, and DELIVERED and READ win over FAILED."""
    for order in permutations(facts):
        assert state_of(*(a_fact(each, at_ms) for at_ms, each in enumerate(order))) is state


def test_no_fact_is_no_verdict() -> None:
    """Before any fact the sender's own state counts."""
    assert verdict(()) is None


def test_the_earliest_statement_of_a_state_counts() -> None:
    """Who said it and when is that of the first statement, also when it arrives last."""
    late = DeliveryFact(0, FAILED, 9, FactSource.BOUNCE, "BOUNCED_4_4_7", retryable=True)
    early = DeliveryFact(0, FAILED, 3, FactSource.PROVIDER, "WHATSAPP_131026")
    found = verdict(together(a_fact(SENT), late, early))
    assert found is not None
    assert (found.state, found.reason, found.retryable) == (FAILED, "WHATSAPP_131026", False)
    assert (found.source, found.at_ms) == (FactSource.PROVIDER, 3)


def test_one_failed_part_fails_the_delivery() -> None:
    """The customer has the first half of the text only."""
    assert state_of(a_fact(SENT), a_fact(DELIVERED, part=1), parts=2) is SENT
    assert state_of(a_fact(SENT), a_fact(READ, part=1), a_fact(FAILED, part=2, reason="X"), parts=2) is FAILED
    assert state_of(a_fact(SENT), a_fact(READ, part=1), a_fact(DELIVERED, part=2), parts=2) is DELIVERED


def test_a_part_without_a_fact_is_unknown() -> None:
    """A crash between two parts: the provider reports the first one, and no one knows about the second."""
    assert state_of(a_fact(DELIVERED, part=1), parts=2) is UNKNOWN
    assert state_of(a_fact(DELIVERED, part=2)) is UNKNOWN


@pytest.mark.parametrize("state", [QUEUED, ATTEMPTING])
def test_what_the_sender_does_is_not_a_fact(state: DeliveryState) -> None:
    """QUEUED and ATTEMPTING say nothing about what became of a message."""
    with pytest.raises(ValueError, match="is not a fact"):
        a_fact(state)


@pytest.mark.parametrize("part", [-1, 101])
def test_the_number_of_a_part_is_bounded(part: int) -> None:
    """A number from outside cannot make the verdict expensive."""
    with pytest.raises(ValueError, match="a part is"):
        a_fact(SENT, part=part)
