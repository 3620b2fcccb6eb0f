"""The floor: the live engine on a virtual clock follows the queueing disciplines, customer by customer."""

from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import pytest

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    OverflowRule,
    PoolConfig,
    QueueConfig,
    Trigger,
)
from services.router.simulation.customers import Customers, draw
from services.router.simulation.floor import Floor
from services.router.simulation.log import ABANDONED, ANSWERED, BLOCKED, CANCELLED, UNSERVED, Log
from services.router.simulation.plan import make
from tests.unit.router.simulation.questions import a_run, a_scenario, always, calls, exponential

MINUTE = 60_000.0


def first_come_first_served(customers: Customers, agents: int) -> list[float | None]:
    """Return waits by the recursion of Kiefer and Wolfowitz (1955), with customers who leave when their patience ends; None for those."""
    free = [0.0] * agents
    waits: list[float | None] = []
    for arrived, handling, patience in zip(customers.arrived, customers.handling[0], customers.patience, strict=True):
        start = max(arrived, free[0])
        if start - arrived > patience:
            waits.append(None)
            continue
        heappop(free)
        heappush(free, start + handling)
        waits.append(start - arrived)
    return waits


def urgent_first(customers: Customers, agents: int) -> list[float]:
    """Return waits when kind 0 goes before kind 1, without interruption."""
    free = [0.0] * agents
    waiting: list[tuple[int, int]] = []
    waits = [0.0] * len(customers.arrived)
    number = 0
    while number < len(waits) or waiting:
        if not waiting or (number < len(waits) and customers.arrived[number] <= free[0]):
            heappush(waiting, (customers.kind[number], number))
            number += 1
            if free[0] > customers.arrived[number - 1]:
                continue
            now = customers.arrived[number - 1]
        else:
            now = free[0]
        _, served = heappop(waiting)
        waits[served] = now - customers.arrived[served]
        heappop(free)
        heappush(free, now + customers.handling[0][served])
    return waits


@pytest.mark.parametrize("patience", [None, exponential("1m")])
def test_each_waits_as_long_as_the_recursion_says(patience: dict[str, Any] | None) -> None:
    """First come, first served: every wait is equal to the last bit, and the same customers leave."""
    plan = make(a_scenario(types={"calls": calls(patience=patience)}, groups={"agents": {"agents": 9}}, duration="2h"))
    customers = draw(plan, 0)
    expected = first_come_first_served(customers, 9)
    log = Floor(plan, customers, 0).run()
    assert [w if o == ANSWERED else None for w, o in zip(log.waited, log.outcome, strict=True)] == expected
    assert sum(w is not None and w > 0 for w in expected) > 50
    if patience is not None:
        left = [w for w, o in zip(log.waited, log.outcome, strict=True) if o == ABANDONED]
        assert left == pytest.approx([p for p, w in zip(customers.patience, expected, strict=True) if w is None])
        assert len(left) > 20


def test_urgent_customers_go_first_and_no_service_is_interrupted() -> None:
    """Two classes: every wait is equal to the last bit."""
    types = {
        "urgent": calls(arrivals={"every": "60s"}, priority=1),
        "other": calls(arrivals={"every": "26s"}),
    }
    plan = make(a_scenario(types=types, groups={"agents": {"agents": 10}}, duration="2h"))
    customers = draw(plan, 0)
    assert Floor(plan, customers, 0).run().waited == urgent_first(customers, 10)


def test_a_replication_is_the_same_each_time() -> None:
    """The same seed and number give the same log."""
    plan = make(a_scenario(types={"calls": calls(patience=exponential("30s"))}))
    first, second = (Floor(plan, draw(plan, 3), 3).run() for _ in range(2))
    assert first == second


def test_the_longest_idle_agent_is_asked() -> None:
    """Three calls one after another go to three agents."""
    log = a_run((1, 10), (20, 10), (40, 10), (60, 10), groups={"agents": {"agents": 3}})
    assert [agent for agent, _, _ in log.busy] == [0, 1, 2, 0]


def test_without_waiting_places_a_customer_who_would_wait_is_turned_away() -> None:
    """One agent, no waiting places: the second caller is lost, the third comes when the agent is free."""
    log = a_run((0, 60), (30, 60), (61, 60), groups={"agents": {"agents": 1}}, waiting_places=0)
    assert log.outcome == [ANSWERED, BLOCKED, ANSWERED]


def test_lines_bound_everybody_in_the_system() -> None:
    """Two lines, three agents: the third caller is turned away although an agent is free; the fourth comes when a line is free."""
    log = a_run((0, 60), (1, 90), (2, 60), (61, 60), groups={"agents": {"agents": 3}}, lines=2)
    assert log.outcome == [ANSWERED, ANSWERED, BLOCKED, ANSWERED]


def test_a_customer_who_waits_holds_a_line() -> None:
    """One agent and two lines: one is served, one waits, the third is turned away, and may come again."""
    types = {"calls": calls(lines=2, retrials={"share": 1, "delay": always("2m"), "most": 1})}
    log = a_run((0, 60), (1, 30), (2, 30), types=types, groups={"agents": {"agents": 1}})
    assert log.outcome == [ANSWERED, ANSWERED, BLOCKED, ANSWERED]
    assert (log.waited[1], log.arrived[3], log.retries) == (59_000, 122_000, 1)


def test_lines_of_a_type_are_its_own() -> None:
    """A chat does not hold a line of the calls."""
    types = {"calls": calls(lines=1), "chats": calls()}
    plan = make(a_scenario(types=types, groups={"agents": {"agents": 4}}))
    customers = Customers([0.0, 1.0, 2.0], [1, 0, 0], [[60_000.0] * 3], [float("inf")] * 3)
    assert Floor(plan, customers, 0).run().outcome == [ANSWERED, ANSWERED, BLOCKED]


def test_a_customer_who_comes_again_may_be_as_patient_as_before() -> None:
    """The first patience of 10 s holds for each attempt, although the type's is 1 s."""
    again = {"share": 1, "delay": always("20s"), "most": 2, "same_patience": True}
    types = {"calls": calls(patience=always("1s"), retrials=again)}
    log = a_run((0, 3000), (1, 60), patience=10, types=types, groups={"agents": {"agents": 1}})
    assert log.waited == [0, 10_000, 10_000, 10_000]


def test_places_for_all_together() -> None:
    """One place for two types: the second customer who would wait is turned away, whatever their type."""
    types = {"calls": calls(), "mails": calls()}
    plan = make(a_scenario(types=types, groups={"agents": {"agents": 1}}, waiting_places=1))
    customers = Customers([0.0, 1.0, 2.0, 70_000.0], [0, 1, 0, 1], [[60_000.0] * 4], [float("inf")] * 4)
    assert Floor(plan, customers, 0).run().outcome == [ANSWERED, ANSWERED, BLOCKED, ANSWERED]


def test_places_of_a_type_are_its_own() -> None:
    """One place: the first waits, the second is turned away, the third has the place that became free."""
    places = {"calls": calls(waiting_places=1)}
    log = a_run((0, 60), (1, 60), (2, 60), (61, 60), groups={"agents": {"agents": 1}}, types=places)
    assert log.outcome == [ANSWERED, ANSWERED, BLOCKED, ANSWERED]
    assert log.waited == [0, 59_000, 0, 59_000]


def test_a_customer_who_leaves_may_come_again() -> None:
    """With patience of 10 s and a retry after 5 min: the same customer, the same handling, a new interaction."""
    types = {"calls": calls(patience=always("10s"), retrials={"share": 1, "delay": always("5m"), "most": 1})}
    log = a_run((0, 200), (1, 77), patience=10, types=types, groups={"agents": {"agents": 1}})
    assert log.outcome == [ANSWERED, ABANDONED, ANSWERED]
    assert log.arrived[2] == 311_000
    assert log.busy[1:] == [(0, 311_000, 388_000)]
    assert log.retries == 1


def test_no_customer_exceeds_the_number_of_attempts() -> None:
    """After two more attempts the customer gives up."""
    types = {"calls": calls(patience=always("10s"), retrials={"share": 1, "delay": always("1s"), "most": 2})}
    log = a_run((0, 3000), (1, 60), patience=10, types=types, groups={"agents": {"agents": 1}})
    assert log.outcome == [ANSWERED, ABANDONED, ABANDONED, ABANDONED]


def on_shift(at_shift_end: str, **more: Any) -> Log:
    """Return the log of one agent until minute 10, another from minute 20, and a call of 10 minutes at minute 5."""
    shifts = [{"start": "0s", "end": "10m", "agents": 1}, {"start": "20m", "end": "60m", "agents": 1}]
    return a_run((300, 600), groups={"agents": {"shifts": shifts, "at_shift_end": at_shift_end}}, **more)


def test_an_open_interaction_is_finished_after_the_shift() -> None:
    """The time counts as overtime."""
    log = on_shift("finish")
    assert log.busy == [(0, 5 * MINUTE, 15 * MINUTE)]
    assert log.overtime == [(0, 10 * MINUTE, 15 * MINUTE)]


@pytest.mark.parametrize(("way", "end"), [("hand_over_resume", 25 * MINUTE), ("hand_over_restart", 30 * MINUTE)])
def test_an_open_interaction_is_handed_over(way: str, end: float) -> None:
    """It waits again until another agent comes, who continues or restarts it; the customer was answered once."""
    log = on_shift(way)
    assert log.busy == [(0, 5 * MINUTE, 10 * MINUTE), (1, 20 * MINUTE, end)]
    assert (log.outcome, log.waited, log.handed_over, log.overtime) == ([ANSWERED], [0], 1, [])


def test_a_customer_who_is_handed_over_may_leave() -> None:
    """The customer was answered nevertheless, and does not come again."""
    log = on_shift("hand_over_resume", patience=60)
    assert log.outcome == [ANSWERED]
    assert log.busy == [(0, 5 * MINUTE, 10 * MINUTE)]


def test_patience_starts_again_after_a_hand_over() -> None:
    """The customer waits from 0 to 1 min, is handed over at 10, and would have left at 15 if it were still the first wait."""
    shifts = [{"start": "1m", "end": "10m", "agents": 1}, {"start": "16m", "end": "60m", "agents": 1}]
    log = a_run((0, 1200), patience=900, groups={"agents": {"shifts": shifts, "at_shift_end": "hand_over_resume"}})
    assert log.busy == [(0, MINUTE, 10 * MINUTE), (1, 16 * MINUTE, 27 * MINUTE)]


def test_an_agent_needed_again_while_finishing_goes_on() -> None:
    """The next period needs the agent again: there is no second session, and they are offered new interactions."""
    log = a_run((300, 1800), (2000, 60), groups={"agents": {"agents": [1, 0, 1]}}, period="10m")
    assert log.overtime == [(0, 10 * MINUTE, 20 * MINUTE)]
    assert log.waited == [0, 100_000]


def test_without_agents_on_duty_customers_stay_unserved() -> None:
    """The run ends nevertheless."""
    log = a_run((300, 60), groups={"agents": {"shifts": [{"start": "0s", "end": "1m", "agents": 1}]}})
    assert log.outcome == [UNSERVED]


def test_answers_take_their_time() -> None:
    """The customer waits until the agent has accepted."""
    log = a_run((0, 60), (1, 60), groups={"agents": {"agents": 1, "answering": {"delay": always("5s")}}})
    assert log.waited == [5_000, 69_000]


def test_a_customer_can_leave_while_it_rings() -> None:
    """The customer's offer is revoked, and the agent gets the next one."""
    log = a_run((0, 60), (1, 60), patience=4, groups={"agents": {"agents": 1, "answering": {"delay": always("5s")}}})
    assert log.outcome == [ABANDONED, ABANDONED]
    assert log.busy == []


def test_offers_without_an_answer_expire_and_the_agent_comes_back() -> None:
    """After the queue's 20 s the agent is not responding; after a minute they are back, are asked again, and do not answer again."""
    answering = {"ignore": 1, "back_after": "1m"}
    log = a_run((0, 60), patience=200, groups={"agents": {"agents": 1, "answering": answering}})
    assert log.outcome == [ABANDONED]
    assert log.commands == len(("activate", "sign in", "enqueue", "back at 80 s", "back at 160 s", "leave"))


def test_an_agent_who_declines_is_asked_again_only_after_the_retry_time() -> None:
    """Without a retry time the only agent is never asked again, and the customer waits."""
    declines: dict[str, Any] = {"agents": 1, "answering": {"decline": 1}}
    assert a_run((0, 60), patience=100, groups={"agents": declines}).commands == 5
    again = {"agents": 1, "answering": {"decline": 1, "retry_after": "30s"}}
    assert a_run((0, 60), patience=100, groups={"agents": again}).commands == 8


def test_wrap_up_keeps_the_agent_busy() -> None:
    """The policy's wrap-up of 30 s follows each call: the second caller waits for it too."""
    policy = PoolConfig(1, queues=(QueueConfig("q", wrap_up_ms=30_000),))
    log = a_run((0, 60), (1, 60), policy=policy, groups={"agents": {"agents": 1}})
    assert log.waited == [0, 89_000]
    assert log.busy == [(0, 0, 90_000), (0, 90_000, 180_000)]


def test_the_engine_gets_the_time_rounded_down() -> None:
    """So events of its timers are up to a millisecond early, and never late."""
    policy = PoolConfig(1, queues=(QueueConfig("q", wrap_up_ms=30_000),))
    log = a_run((0.0009, 60), policy=policy, groups={"agents": {"agents": 1}})
    assert log.busy == [(0, 0.9, 90_000.0)]


def test_chats_run_side_by_side() -> None:
    """An agent with room for three chats is busy as long as they have one."""
    log = a_run((0, 60), (10, 60), (20, 60), (30, 60), groups={"agents": {"agents": 1, "capacity": 3}})
    assert log.waited == [0, 0, 0, 30_000]
    assert log.busy == [(0, 0, 120_000)]


def test_an_interaction_that_a_call_interrupts_continues_afterwards() -> None:
    """A mail of 60 s is parked at 20 s for a call of 30 s and ends at 90 s."""
    desk = CapacityProfile(
        "desk", 1, (ChannelCapacity("voice", 1, exclusive=True, interrupts=("email",)), ChannelCapacity("email", 1))
    )
    policy = PoolConfig(1, queues=(QueueConfig("q"),), profiles=(desk,))
    types = {"mail": calls(channel="email"), "call": calls(channel="voice", priority=5)}
    plan = make(a_scenario(types=types, groups={"agents": {"agents": 1, "capacity_profile": "desk"}}), policy)
    handling = [60_000.0, 30_000.0]
    log = Floor(plan, Customers([0.0, 20_000.0], [0, 1], [handling], [float("inf")] * 2), 0).run()
    assert log.waited == [0, 0]
    assert log.busy == [(0, 0, 90_000)]


def test_the_policy_may_cancel() -> None:
    """An overflow rule cancels after a minute of waiting."""
    rule = OverflowRule("too long", Trigger.WAIT, 60_000, cancel=True)
    policy = PoolConfig(1, queues=(QueueConfig("q", overflow=(rule,)),))
    log = a_run((0, 600), (1, 60), policy=policy, groups={"agents": {"agents": 1}})
    assert log.outcome == [ANSWERED, CANCELLED]
    assert log.waited == [0, 60_000]


def test_of_several_agents_with_an_offer_the_first_gets_the_interaction() -> None:
    """With two offers for one call, one agent gets it, and the other is free for the next."""
    policy = PoolConfig(1, queues=(QueueConfig("q", max_offers=2),))
    log = a_run((0, 60), (0.5, 60), policy=policy, groups={"agents": {"agents": 2}})
    assert log.outcome == [ANSWERED, ANSWERED]
    assert log.waited == [0, 0]


def test_interactions_go_to_the_group_that_prefers_them() -> None:
    """Both groups can take both types; each gets what it prefers while it is free."""
    types = {"sales": calls(queue=""), "support": calls(queue="")}
    groups = {
        "sellers": {"agents": 1, "prefers": ["sales", "support"]},
        "helpers": {"agents": 1, "prefers": ["support", "sales"]},
    }
    plan = make(a_scenario(types=types, groups=groups))
    customers = Customers([0, 0.1, 100_000, 100_001], [1, 0, 0, 1], [[9_000.0] * 4] * 2, [float("inf")] * 4)
    log = Floor(plan, customers, 0).run()
    assert [agent for agent, _, _ in log.busy] == [1, 0, 0, 1]


def test_decisions_fall_in_order_within_a_millisecond() -> None:
    """The engine sees the same time for all of them; the virtual clock does not."""
    log = a_run((0.0001, 1.0), (0.0002, 1.0), (0.0003, 1.0), groups={"agents": {"agents": 1}})
    assert all(a < b for a, b in pairwise(log.waited))
    assert log.waited[2] == pytest.approx(1_999.8)
