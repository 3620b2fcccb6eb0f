"""The clock of an overflow rule goes on while an offer is pending (D20), unless the rule waits for offers."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.routing import OverflowRule, Ring, Trigger
from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd
from tests.unit.router.world import START, World, a_pool, a_queue, all_of, an_agent, only, requires

FOREVER = 10**9


def cumulative(waits_for_offer: bool = False, **rule: Any) -> World:
    """Return a world with two rules, at 10 s and at 20 s, as a workflow of steps of 10 s each has them; offers are open for 15 s."""
    first = OverflowRule("raise", Trigger.WAIT, 10_000, add_priority=5, waits_for_offer=waits_for_offer)
    second = OverflowRule(
        "move", Trigger.WAIT, 20_000, waits_for_offer=waits_for_offer, **(rule or {"queue": "backup"})
    )
    queues = [a_queue(overflow=(first, second), offer_ms=15_000), a_queue("backup")]
    agents = (an_agent("a", queues=("q",)), an_agent("b", queues=("backup",)))
    return World(a_pool(*agents, queues=queues, lease_ms=FOREVER))


def fired(world: World) -> list[tuple[str, int]]:
    """Return which rules fired, and after how long."""
    told: list[tuple[str, int]] = []
    while world.now < START + 60_000:
        told += [(effect.rule, world.now - START) for effect in all_of(world.wait(1_000), fx.Overflowed)]
    return told


def test_cumulative_time_outs_are_kept_while_an_offer_is_pending() -> None:
    """An agent comes at 9 s, and their offer is open until 24 s: the rules fire at 10 s and 20 s, not both at 24 s."""
    world = cumulative()
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    assert world.offered("i") == "a"
    assert fired(world) == [("raise", 10_000), ("move", 20_000)]
    ended = only(world.log, fx.OfferEnded)
    assert (ended.agent_id, ended.end, ended.reason) == ("a", OfferEnd.REVOKED, "OVERFLOW")
    assert world.engine.core.interactions["i"].attributes.queue == "backup"


def test_a_rule_that_stays_in_its_queue_leaves_the_offer_open() -> None:
    world = cumulative(add_priority=1)
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    world.wait(14_999)
    assert world.offered("i") == "a"
    assert world.accept("i") == ""
    assert world.engine.core.interactions["i"].attributes.priority == 6


def test_cancelling_revokes_the_offer() -> None:
    world = cumulative(cancel=True)
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    effects = world.wait(11_000)
    assert only(effects, fx.Cancelled).reason == "OVERFLOW"
    assert only(effects, fx.OfferEnded).end is OfferEnd.REVOKED
    assert world.engine.core.agents["a"].load == ()


def test_a_rule_may_wait_for_the_offer() -> None:
    """With `waits_for_offer` both rules fire when the offer ends at 24 s."""
    world = cumulative(waits_for_offer=True)
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    assert fired(world) == [("raise", 24_000), ("move", 24_000)]


def test_of_two_rules_that_are_due_only_the_one_that_waits_is_late() -> None:
    raises = OverflowRule("raise", Trigger.WAIT, 10_000, add_priority=5)
    moves = OverflowRule("move", Trigger.WAIT, 10_000, queue="backup", waits_for_offer=True)
    queues = [a_queue(overflow=(raises, moves), offer_ms=15_000), a_queue("backup")]
    world = World(a_pool(an_agent("a", queues=("q",)), queues=queues, lease_ms=FOREVER))
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    assert fired(world) == [("raise", 10_000), ("move", 24_000)]


def test_the_clock_of_a_relaxation_goes_on_too() -> None:
    """A ring of 20 s is reached while a has the offer, from 9 s to 24 s: b, whom it admits, is asked at 24 s."""
    rings = (Ring(20_000, lower=(("french", 3),)),)
    queue = a_queue(requirements=(requires("french", 5),), rings=rings, offer_ms=15_000)
    world = World(a_pool(an_agent("a", {"french": 5}), an_agent("b", {"french": 3}), queues=[queue], lease_ms=FOREVER))
    world.sign_in("b")
    world.enqueue("i")
    world.wait(9_000)
    world.sign_in("a")
    world.wait(14_999)
    assert world.offered("i") == "a"
    world.wait(1)
    assert world.offered("i") == "b"


@settings(max_examples=60, derandomize=True)
@given(st.integers(0, 30_000), st.integers(1, 20_000), st.integers(0, 25_000))
def test_a_rule_fires_at_its_time_whatever_is_offered(signs_in: int, open_for: int, threshold: int) -> None:
    """It fires `threshold` after the beginning, unless an agent has accepted before: no offer delays it."""
    rule = OverflowRule("r", Trigger.WAIT, threshold, queue="backup")
    queues = [a_queue(overflow=(rule,), offer_ms=open_for), a_queue("backup")]
    world = World(a_pool(an_agent("a", queues=("q",)), queues=queues, lease_ms=FOREVER))
    world.enqueue("i")
    world.wait(signs_in)
    world.sign_in("a")
    world.wait(60_000)
    event = only(world.log, fx.Overflowed)
    assert event.rule == "r"
    assert world.engine.core.interactions["i"].enqueued_at == START + threshold
