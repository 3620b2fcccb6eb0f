"""Events that pause a clock, events that do not, and events that reopen a closed interaction."""

from services.policy.model.sla import Target
from services.sla.domain.facts import RoutingFactKind
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, a_target, all_targets

QUEUED, ASSIGNED, REPLIED = RoutingFactKind.QUEUED, RoutingFactKind.ASSIGNED, RoutingFactKind.AGENT_REPLIED
LEFT = RoutingFactKind.CUSTOMER_LEFT
MESSAGED, COMPLETED, SCHEDULED = RoutingFactKind.CUSTOMER_MESSAGED, RoutingFactKind.COMPLETED, RoutingFactKind.SCHEDULED


class TestUntilAnAgreedTime:
    """A callback pauses the targets that wait for an agent; the other clocks run on."""

    def test_a_callback_stops_pick_up_and_first_response(self) -> None:
        """Four minutes used, then a callback an hour later: six of ten minutes are left."""
        watched = Watched(a_policy(*all_targets(), pause=False))
        watched.happens(QUEUED)
        assert watched.happens(SCHEDULED, T0 + 4 * MINUTE, start_at_ms=T0 + 64 * MINUTE) == [
            "PICK_UP PAUSED",
            "FIRST_RESPONSE PAUSED",
        ]
        assert watched.clock(T0 + 10 * MINUTE) == ["RESOLUTION DESIRED_PASSED DESIRED"]
        watched.happens(QUEUED, T0 + 64 * MINUTE, again=True)
        assert [o.reason for o in watched.reported[-2:]] == ["SCHEDULE_DUE"] * 2
        assert watched.reported[-2].desired_at_ms == T0 + 70 * MINUTE
        assert watched.happens(ASSIGNED, T0 + 69 * MINUTE) == ["PICK_UP MET DESIRED"]
        assert watched.reported[-1].used_ms == 9 * MINUTE

    def test_an_agent_may_take_it_before_its_time(self) -> None:
        """The pick-up is kept with the time used so far; the first response runs again."""
        watched = Watched(a_policy(a_target(), a_target(Target.FIRST_RESPONSE)))
        watched.happens(QUEUED)
        watched.happens(SCHEDULED, T0 + 4 * MINUTE)
        assert watched.happens(ASSIGNED, T0 + 30 * MINUTE) == ["PICK_UP MET DESIRED", "FIRST_RESPONSE RESUMED"]
        assert watched.reported[-2].used_ms == 4 * MINUTE

    def test_the_policy_may_name_the_paused_targets(self) -> None:
        policy = a_policy(*all_targets())
        stops = (Target.PICK_UP, Target.RESOLUTION)
        watched = Watched(type(policy)(type(policy.plan)("p", "p", 1, all_targets(), pause_until_scheduled=stops)))
        watched.happens(QUEUED)
        assert watched.happens(SCHEDULED, T0 + 1) == ["PICK_UP PAUSED", "RESOLUTION PAUSED"]

    def test_an_interaction_scheduled_from_the_beginning_counts_from_its_start(self) -> None:
        """Nothing is due before the start; being queued at that time sets no new deadline."""
        start = T0 + 60 * MINUTE
        watched = Watched(a_policy(a_target(), a_target(Target.RESOLUTION)))
        assert watched.happens(SCHEDULED, T0, start_at_ms=start, arrived=start) == ["PICK_UP SET", "RESOLUTION SET"]
        assert watched.reported[0].desired_at_ms == start + 10 * MINUTE
        assert watched.clock(start) == []
        assert watched.happens(QUEUED, start) == []
        assert watched.happens(ASSIGNED, start + 3 * MINUTE) == ["PICK_UP MET DESIRED"]
        assert watched.reported[-1].used_ms == 3 * MINUTE

    def test_at_the_agreed_time_the_customer_is_awaited_no_more(self) -> None:
        """They asked to be called: the next step is ours."""
        policy = a_policy(*all_targets())
        stops = tuple(Target)
        watched = Watched(
            type(policy)(type(policy.plan)("p", "p", 1, all_targets(), None, True, pause_until_scheduled=stops))
        )
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        assert watched.happens(REPLIED, T0 + 2) == ["FIRST_RESPONSE MET DESIRED", "RESOLUTION PAUSED"]
        assert watched.happens(SCHEDULED, T0 + 3) == []
        assert watched.happens(QUEUED, T0 + 4, again=True) == ["PICK_UP#2 SET", "RESOLUTION RESUMED"]
        assert watched.happens(MESSAGED, T0 + 5) == ["NEXT_RESPONSE SET"]


class TestACustomerWhoLeaves:
    """They wait for nothing: no answer can be late for them."""

    def test_leaving_after_a_reply_starts_no_clock(self) -> None:
        """Clocks that were paused while their reply was awaited stay paused, for a day as for a minute."""
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + MINUTE)
        watched.happens(REPLIED, T0 + 2 * MINUTE)
        assert watched.happens(LEFT, T0 + 3 * MINUTE) == []
        assert watched.clock(T0 + 1440 * MINUTE) == []

    def test_leaving_before_the_answer_ends_the_wait_for_it(self) -> None:
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        assert watched.happens(LEFT, T0 + 2) == ["FIRST_RESPONSE CANCELLED", "RESOLUTION PAUSED"]
        assert [each.reason for each in watched.reported[-2:]] == ["CUSTOMER_LEFT"] * 2
        assert watched.happens(REPLIED, T0 + 3) == []

    def test_whoever_comes_back_waits_from_their_next_message_on(self) -> None:
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        watched.happens(REPLIED, T0 + 2)
        watched.happens(MESSAGED, T0 + 3)
        assert watched.happens(LEFT, T0 + 4) == ["NEXT_RESPONSE CANCELLED", "RESOLUTION PAUSED"]
        assert watched.happens(MESSAGED, T0 + 5) == ["NEXT_RESPONSE#2 SET", "RESOLUTION RESUMED"]
        assert watched.happens(REPLIED, T0 + 6)[0] == "NEXT_RESPONSE#2 MET DESIRED"


class TestAReturnToAQueue:
    """The customer waits for us again, also when we wrote last (D1)."""

    def test_the_agent_passes_the_customer_on_and_no_agent_is_there(self) -> None:
        """The resolution goes on, and a pick-up runs for the new wait."""
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + MINUTE)
        assert watched.happens(REPLIED, T0 + 2 * MINUTE)[-1] == "RESOLUTION PAUSED"
        assert watched.happens(RoutingFactKind.MOVED, T0 + 3 * MINUTE, queue="two") == []
        assert watched.happens(QUEUED, T0 + 3 * MINUTE, queue="two", again=True) == [
            "PICK_UP#2 SET",
            "RESOLUTION RESUMED",
        ]
        assert {o.reason for o in watched.reported[-2:]} == {"RETURNED"}
        assert watched.clock(T0 + 60 * MINUTE)[-1] == "PICK_UP#2 BREACHED ADEQUATE"
        assert watched.happens(REPLIED, T0 + 61 * MINUTE) == []

    def test_the_outcome_of_the_parting_reply_does_not_end_the_wait(self) -> None:
        """It was written before the transfer and sent after it. The reply of the next agent ends the wait."""
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        watched.happens(RoutingFactKind.REPLY_WRITTEN, T0 + 2, reply_id="r1")
        watched.happens(QUEUED, T0 + 3, again=True)
        watched.happens(ASSIGNED, T0 + 4)
        assert watched.happens(RoutingFactKind.REPLY_SENT, T0 + 5, reply_id="r1") == ["FIRST_RESPONSE MET DESIRED"]
        watched.happens(RoutingFactKind.REPLY_WRITTEN, T0 + 6, reply_id="r2")
        assert watched.happens(RoutingFactKind.REPLY_SENT, T0 + 7, reply_id="r2") == ["RESOLUTION PAUSED"]

    def test_an_offer_that_nobody_took_continues_the_same_wait(self) -> None:
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        assert watched.happens(QUEUED, T0 + MINUTE, again=True) == []
        watched.happens(ASSIGNED, T0 + 2 * MINUTE)
        assert watched.happens(QUEUED, T0 + 3 * MINUTE, again=True) == ["PICK_UP#2 SET"]
        assert watched.happens(QUEUED, T0 + 4 * MINUTE, again=True) == []

    def test_a_wait_that_was_met_late_or_ended_with_the_interaction_is_over(self) -> None:
        """The next one is another wait; a breached wait that goes on is not reported twice."""
        watched = Watched(a_policy(a_target(), a_target(Target.RESOLUTION)))
        watched.happens(QUEUED)
        watched.clock(T0 + 20 * MINUTE)
        assert watched.happens(QUEUED, T0 + 21 * MINUTE, again=True) == []
        watched.happens(ASSIGNED, T0 + 22 * MINUTE)
        assert watched.happens(QUEUED, T0 + 23 * MINUTE, again=True, epoch=5) == ["PICK_UP#2 SET"]
        assert watched.happens(COMPLETED, T0 + 24 * MINUTE, epoch=6)[-1] == "PICK_UP#2 CANCELLED"
        assert watched.happens(QUEUED, T0 + 25 * MINUTE, again=True, epoch=7)[-1] == "PICK_UP#3 SET"

    def test_who_leaves_after_it_waits_for_nothing(self) -> None:
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        watched.happens(REPLIED, T0 + 2)
        watched.happens(QUEUED, T0 + 3, again=True)
        watched.happens(ASSIGNED, T0 + 4)
        assert watched.happens(LEFT, T0 + 5) == ["RESOLUTION PAUSED"]

    def test_the_oldest_of_many_pick_ups_are_forgotten(self) -> None:
        """However often it is transferred, its state stays small, and every wait has a target."""
        watched = Watched(a_policy(a_target()))
        watched.happens(QUEUED)
        for at in range(1, 41, 2):
            watched.happens(ASSIGNED, T0 + at)
            assert watched.happens(QUEUED, T0 + at + 1, again=True) == [f"PICK_UP#{(at + 3) // 2} SET"]
        (interaction,) = watched.tracked.interactions.values()
        assert len(interaction.deadlines) == 8


class TestADeadlineSurvives:
    """Whatever happens to the interaction in between, the deadline stays."""

    def test_a_deadline_survives_transfer_lost_agent_other_channel_and_overflow(self) -> None:
        """The clock of the first response has not changed."""
        watched = Watched(a_policy(*all_targets()))
        watched.happens(QUEUED)
        assert watched.happens(ASSIGNED, T0 + MINUTE) == ["PICK_UP MET DESIRED"]
        assert watched.happens(RoutingFactKind.MOVED, T0 + 2 * MINUTE, queue="support", tier="gold") == []
        assert watched.happens(QUEUED, T0 + 3 * MINUTE, queue="support", channel="email", again=True) == [
            "PICK_UP#2 SET"
        ]
        assert watched.happens(ASSIGNED, T0 + 4 * MINUTE, channel="email") == ["PICK_UP#2 MET DESIRED"]
        assert watched.happens(REPLIED, T0 + 9 * MINUTE, channel="email")[0] == "FIRST_RESPONSE MET DESIRED"

    def test_a_reopened_interaction_continues_with_its_used_time(self) -> None:
        """Eleven minutes used: the desired level has passed and is not reported again; nine minutes are left to the
        adequate one."""
        watched = Watched(a_policy(a_target(), a_target(Target.RESOLUTION)))
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + MINUTE)
        assert watched.happens(COMPLETED, T0 + 11 * MINUTE, epoch=5)[-1] == "RESOLUTION MET ADEQUATE"
        later = T0 + 15 * MINUTE
        assert watched.happens(QUEUED, later, again=True, epoch=6) == ["RESOLUTION#2 SET", "PICK_UP#2 SET"]
        assert watched.reported[-2].reason == "REOPENED"
        watched.happens(ASSIGNED, later)
        assert watched.clock(later + 4 * MINUTE - 1) == []
        assert watched.clock(later + 4 * MINUTE) == ["RESOLUTION#2 WARNED 0.75"]
        assert watched.happens(COMPLETED, later + 5 * MINUTE, epoch=7) == ["RESOLUTION#2 MET ADEQUATE"]
        assert watched.reported[-1].used_ms == 16 * MINUTE

    def test_a_breached_resolution_stays_breached_after_reopening(self) -> None:
        """Later targets are set as usual."""
        watched = Watched(a_policy(a_target(Target.RESOLUTION), a_target(Target.NEXT_RESPONSE)))
        watched.happens(QUEUED)
        watched.happens(COMPLETED, T0 + 30 * MINUTE, epoch=5)
        assert watched.happens(QUEUED, T0 + 31 * MINUTE, again=True, epoch=6) == []
        watched.happens(REPLIED, T0 + 32 * MINUTE, epoch=7)
        assert watched.happens(MESSAGED, T0 + 33 * MINUTE, epoch=8) == ["NEXT_RESPONSE SET"]

    def test_a_cancelled_interaction_is_not_reopened(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(RoutingFactKind.ABANDONED, T0 + 1, epoch=2)
        assert watched.happens(QUEUED, T0 + 2, again=True, epoch=3) == []

    def test_spam_cancels(self) -> None:
        watched = Watched(a_policy(a_target(Target.RESOLUTION)))
        watched.happens(QUEUED)
        assert watched.happens(RoutingFactKind.CANCELLED, T0 + 1, reason="SPAM") == ["RESOLUTION CANCELLED"]
        assert watched.reported[-1].reason == "SPAM"
        assert not watched.tracked.tallies


class TestOrderOfTheQueue:
    """The router receives the pick-up deadline, once, if the policy orders queues."""

    def ordered(self, watched: Watched) -> list[tuple[str, str, int]]:
        return [(o.target.name, o.kind.name, o.adequate_at_ms - T0) for o in watched.reported if o.orders_queue]

    def test_the_pick_up_and_when_it_moves(self) -> None:
        watched = Watched(a_policy(*all_targets(), orders=True))
        watched.happens(QUEUED)
        watched.happens(SCHEDULED, T0 + MINUTE)
        watched.happens(QUEUED, T0 + 31 * MINUTE, again=True)
        watched.happens(ASSIGNED, T0 + 32 * MINUTE)
        assert self.ordered(watched) == [("PICK_UP", "SET", 20 * MINUTE), ("PICK_UP", "RESUMED", 50 * MINUTE)]

    def test_the_first_response_orders_the_queue_without_a_pick_up_target(self) -> None:
        watched = Watched(a_policy(a_target(Target.FIRST_RESPONSE), a_target(Target.RESOLUTION), orders=True))
        watched.happens(QUEUED)
        assert self.ordered(watched) == [("FIRST_RESPONSE", "SET", 20 * MINUTE)]

    def test_a_given_deadline_is_not_changed_and_no_order_is_sent_without_the_setting(self) -> None:
        given = Watched(a_policy(orders=True))
        given.happens(QUEUED, due_at_ms=T0 + 5)
        unasked = Watched(a_policy())
        unasked.happens(QUEUED)
        assert self.ordered(given) == self.ordered(unasked) == []
