"""The search for the highest rate ends, and gives what was really sustained."""

import asyncio

import pytest

from tests.bench.sustained import MOST_BEHIND_S, MOST_WAIT_S, ROUNDS, Outcome, search


def an_outcome(
    rate: int = 100, *, per_s: float = 100.0, acknowledged: float = 0.1, offered: float = 0.1, behind: float = 0.1
) -> Outcome:
    return Outcome(rate, per_s, acknowledged, offered, behind)


@pytest.mark.parametrize(
    ("outcome", "sustained"),
    [
        (an_outcome(), True),
        (an_outcome(acknowledged=MOST_WAIT_S), False),
        (an_outcome(offered=MOST_WAIT_S), False),
        (an_outcome(behind=MOST_BEHIND_S), False),
    ],
)
def test_every_wait_counts(outcome: Outcome, sustained: bool) -> None:
    """Also that of the lanes which no offer waits for: a backlog that grows is not sustained."""
    assert outcome.sustained == sustained


def found(first: int, capacity: int, *, lost_above: int = 10_000) -> tuple[float, list[int]]:
    """Return what the search finds for a product of this capacity, and the rates that it tried."""
    tried: list[int] = []

    async def attempt(rate: int) -> Outcome | None:
        tried.append(rate)
        if rate > lost_above:
            return None
        return an_outcome(rate, per_s=min(rate, capacity), offered=0.1 if rate <= capacity else 5.0)

    best = asyncio.run(search(first, attempt))
    return (best.acknowledged_per_s if best is not None else 0.0), tried


def test_it_goes_up_while_rounds_are_sustained() -> None:
    """The last sustained round counts, not the capacity between two steps."""
    assert found(450, 600) == (569, [450, 506, 569, 640])


def test_it_goes_down_until_a_round_is_sustained() -> None:
    """The first round shows where to look."""
    assert found(450, 300) == (300, [450, 300])


def test_lost_messages_are_not_sustained() -> None:
    """Neither at the first rate nor above a sustained one."""
    assert found(450, 10_000, lost_above=420) == (400, [450, 400])
    assert found(450, 10_000, lost_above=480) == (450, [450, 506])


def test_it_ends_without_a_sustained_round() -> None:
    """The figure is 0 then."""
    value, tried = found(450, 1)
    assert value == 0
    assert len(tried) == ROUNDS
