"""The checker reports each damage: a checker that is always satisfied proves nothing."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.history.check import INVARIANTS, UNDECODABLE, violations
from tests.chaos.history.model import Evidence
from tests.unit.chaos.damages import DAMAGES, Damage
from tests.unit.chaos.synthetic import a_history

PLACES = 4
"""Each damage is tried at this number of places."""


@pytest.fixture(scope="module")
def sound() -> Evidence:
    evidence = a_history()
    assert violations(evidence) == []
    return evidence


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_the_checker_reports_each_damage(sound: Evidence, damage: Damage) -> None:
    """Wherever the damage is, the invariant that forbids it is violated. The undamaged history violates nothing."""
    for seed in range(PLACES):
        damaged = damage.apply(sound, random.Random(seed).choice)
        found = {(violation.invariant, violation.problem) for violation in violations(damaged)}
        assert (damage.invariant, damage.problem) in found, f"place {seed}: {found}"


def test_every_invariant_has_a_damage() -> None:
    assert {damage.invariant for damage in DAMAGES} == set(INVARIANTS)


def test_bytes_that_do_not_decode_are_reported_unless_injected(sound: Evidence) -> None:
    """A service that writes rubbish is seen; poison that the campaign wrote itself is not held against it."""
    rubbish = sound.records[0]._replace(topic="routing.events.v1", offset=10_000, value=b"\xff\xff")

    def problems(records: Sequence[Any], injected: frozenset[Any]) -> set[str]:
        evidence = Evidence(
            sound.clients,
            tuple(records),
            sound.healed_at_ms,
            sound.read_at_ms,
            sound.live,
            injected,
            sound.bounds,
        )
        return {violation.invariant for violation in violations(evidence)}

    assert problems((*sound.records, rubbish), frozenset()) == {UNDECODABLE}
    assert problems((*sound.records, rubbish), frozenset({rubbish.place})) == set()
