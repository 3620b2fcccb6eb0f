"""Remembered commands, timers, and names: the small parts of the engine."""

import re

from services.policy.model.routing import Choice, Operator, Order, OverflowRule, QueueConfig, Selector, Trigger
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import _HANDLERS, kinds
from services.router.domain.model import AgentState, OfferEnd, Stage
from services.router.domain.pool.dedup import Dedup
from services.router.domain.pool.timers import Timer, Timers
from tests.unit.router.test_written import Written
from tests.unit.router.world import GATEWAY, START, World, a_pool, an_agent, only

MINUTE = 60_000


def test_commands_are_named_after_their_kind() -> None:
    """Metrics and results use these names."""
    snake = [re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in _HANDLERS]
    assert list(kinds()) == snake
    world = World(a_pool(an_agent("a")))
    assert only(world.tell(cmd.RenewLeases((), reply_to=GATEWAY)), fx.Result).kind == "renew_leases"


def test_a_result_names_the_command_and_where_it_goes_and_a_repetition_says_so() -> None:
    world = World(a_pool(an_agent("a")))
    command = cmd.CustomerLeft("i", command_id="c1", reply_to=GATEWAY)
    assert only(world.tell(command), fx.Result) == fx.Result(
        "c1", GATEWAY, False, "UNKNOWN_INTERACTION", "customer_left"
    )
    assert only(world.tell(command), fx.Result) == fx.Result(
        "c1", GATEWAY, False, "UNKNOWN_INTERACTION", "customer_left", repeated=True
    )
    nameless = cmd.CustomerLeft("i")
    assert [only(world.tell(nameless), fx.Result).repeated for _ in range(2)] == [False, False]


# Recent commands


def test_a_command_is_remembered_for_ten_minutes_in_chunks() -> None:
    memory = Dedup()
    assert (memory.result("a"), memory.collect(START), len(memory)) == (None, ([], []), 0)
    memory.remember("a", "")
    memory.remember("b", "NO")
    assert (memory.result("a"), memory.result("b"), len(memory)) == ("", "NO", 2)
    assert memory.collect(START) == ([(1, START, (("a", ""), ("b", "NO")))], [])
    assert memory.collect(START + 1) == ([], [])
    memory.remember("c", "")
    assert memory.collect(START + 1) == ([(2, START + 1, (("c", ""),))], [])
    assert memory.collect(START + 10 * MINUTE - 1) == ([], [])
    assert memory.collect(START + 10 * MINUTE) == ([], [1])
    assert (memory.result("a"), memory.result("b"), memory.result("c"), len(memory)) == (None, None, "", 1)
    assert memory.collect(START + 10 * MINUTE + 1) == ([], [2])
    memory.remember("d", "")
    assert memory.collect(START + 11 * MINUTE) == ([(3, START + 11 * MINUTE, (("d", ""),))], [])


def test_more_than_fit_push_the_oldest_chunks_out() -> None:
    memory = Dedup(most=3)
    for n in range(3):
        memory.remember(f"a{n}", "")
    assert memory.collect(START)[1] == []
    memory.remember("b", "")
    assert memory.collect(START)[1] == [1]
    assert ([memory.result(f"a{n}") for n in range(3)], memory.result("b")) == ([None] * 3, "")


def test_restored_chunks_go_on_with_the_next_number() -> None:
    memory = Dedup()
    memory.restore(7, START, (("a", ""), ("b", "NO")))
    memory.restore(9, START + 5, (("c", ""),))
    assert (memory.result("a"), memory.result("b"), memory.result("c")) == ("", "NO", "")
    memory.remember("d", "")
    assert memory.collect(START + 6) == ([(10, START + 6, (("d", ""),))], [])
    assert memory.collect(START + 10 * MINUTE) == ([], [7])
    assert memory.result("a") is None


def test_a_restored_engine_knows_the_commands_of_before() -> None:
    """Chunks are read in numerical order, and commands are known only as long as the first engine would have known them."""
    lane = Written()
    for n in range(12):
        lane.batch(START + n, cmd.CustomerLeft("i", command_id=f"c{n}"))
    restored = lane.restored()
    again = [only(restored.handle(cmd.CustomerLeft("i", command_id=f"c{n}"), START + 20), fx.Result) for n in range(12)]
    assert all(result.repeated and result.reason == "UNKNOWN_INTERACTION" for result in again)
    lane.batch(START + 10 * MINUTE + 4)
    assert sorted(int(name) for kind, name in lane.entries if kind == "d") == [6, 7, 8, 9, 10, 11, 12]
    result = only(lane.restored().handle(cmd.CustomerLeft("i", command_id="c4"), START + 10 * MINUTE), fx.Result)
    assert not result.repeated


# Timers


def test_equal_times_are_served_by_kind_and_then_by_id() -> None:
    timers = Timers(lambda due, kind, entity: True)
    for kind in reversed(Timer):
        for entity in ("b", "a"):
            timers.arm(START, kind, entity)
    timers.arm(START - 1, Timer.REST, "z")
    served = []
    while (due := timers.pop(START)) is not None:
        served.append(due)
    kinds_in_order = (
        *(Timer.LEASE, Timer.GRACE, Timer.OFFER, Timer.WRAP_UP),
        *(Timer.PLACE, Timer.REST, Timer.ADAPT, Timer.SILENCE),
    )
    assert served == [(Timer.REST, "z"), *((kind, entity) for kind in kinds_in_order for entity in ("a", "b"))]


def test_invalid_timers_are_dropped_when_they_come_up() -> None:
    held = {(START + 1, Timer.OFFER, "a"), (START + 5, Timer.GRACE, "b")}
    timers = Timers(lambda *entry: entry in held)
    assert (timers.next(), timers.pop(START)) == (None, None)
    for due, kind, entity in [*held, (START, Timer.OFFER, "a"), (START + 2, Timer.OFFER, "a")]:
        timers.arm(due, kind, entity)
    assert timers.next() == START + 1
    assert timers.pop(START) is None
    assert timers.pop(START + 1) == (Timer.OFFER, "a")
    assert timers.pop(START + 4) is None
    assert timers.next() == START + 5
    assert timers.pop(START + 9) == (Timer.GRACE, "b")
    assert timers.next() is None


# Numbers that the contracts and the changelog know


def test_enumerations_keep_their_numbers() -> None:
    """They are written to the changelog and equal those of the contracts: a changed number would be read as another member."""
    assert {kind.__name__: [f"{m.name}={m.value}" for m in kind] for kind in (Stage, OfferEnd, AgentState)} == {
        "Stage": ["WAITING=1", "OFFERED=2", "ASSIGNED=3", "WRAP_UP=4", "SCHEDULED=5"],
        "OfferEnd": ["UNSPECIFIED=0", "DECLINED=1", "EXPIRED=2", "REVOKED=3"],
        "AgentState": ["UNSPECIFIED=0", "OFFLINE=1", "AVAILABLE=2", "AWAY=3", "NOT_RESPONDING=4"],
    }
    assert [f"{m.name}={m.value}" for kind in (Operator, Choice, Order, Trigger) for m in kind] == [
        *("UNSPECIFIED=0", "EQUAL=1", "NOT_EQUAL=2", "LESS=3", "AT_MOST=4", "GREATER=5", "AT_LEAST=6", "IN=7", "HAS=8"),
        *("UNSPECIFIED=0", "LONGEST_IDLE=1", "LOAD_RATIO=2", "SKILL_SCORE=3", "ROUND_ROBIN=4", "ADAPTIVE=5"),
        *("UNSPECIFIED=0", "ARRIVAL=1", "DEADLINE=2", "ADAPTIVE=3"),
        *("UNSPECIFIED=0", "LENGTH=1", "WAIT=2", "ESTIMATE=3", "SERVICE_LEVEL=4", "NO_AGENTS=5", "AGENTS=6"),
    ]


def test_defaults_equal_those_of_the_reference() -> None:
    """docs/configuration.md and the entries of version 1 depend on these defaults."""
    queue = QueueConfig("q")
    assert (queue.priority, queue.requirements, queue.choice, queue.order) == (
        0,
        (),
        Choice.LONGEST_IDLE,
        Order.ARRIVAL,
    )
    assert (queue.offer_ms, queue.service_level_ms, queue.service_level_goal) == (20_000, 20_000, 0.8)
    assert (queue.transfer_hold_ms, queue.max_offers, queue.keep_free, queue.delay_ms) == (300_000, 1, 0, 0)
    assert (queue.wrap_up_ms, queue.sticky_ms, queue.sticky_team_ms, queue.ageing_per_minute) == (0, 0, 0, 0.0)
    assert (queue.pick_up_targets, queue.rings, queue.overflow) == ((), (), ())
    pool = a_pool()
    assert (pool.lease_ms, pool.grace_ms) == (20_000, 60_000)
    assert Selector("x") == Selector("x", Operator.AT_LEAST, 0.0, "", (), 0, 0.0, (), (), ())
    rule = OverflowRule("r", Trigger.LENGTH, 1)
    assert (rule.queue, rule.set_priority, rule.add_priority, rule.requirements) == ("", None, 0, ())
    assert (rule.replace_requirements, rule.cancel) == (False, False)
