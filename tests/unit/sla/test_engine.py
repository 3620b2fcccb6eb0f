"""When targets are set, when they are kept, and when they are breached."""

from services.policy.model.calendars import CalendarSpec, OpenHours
from services.policy.model.sla import Level, Target
from services.sla.domain.deadlines import State
from services.sla.domain.facts import OccurrenceKind, RoutingFactKind
from services.sla.domain.measures import TallyKey
from tests.unit.sla.builders import FORGET_AFTER, MINUTE, T0, Watched, a_policy, a_target
from tests.unit.sla.oracle import in_zone

QUEUED, ASSIGNED, REPLIED = RoutingFactKind.QUEUED, RoutingFactKind.ASSIGNED, RoutingFactKind.AGENT_REPLIED
MESSAGED, COMPLETED = RoutingFactKind.CUSTOMER_MESSAGED, RoutingFactKind.COMPLETED


def pick_up_only() -> Watched:
    return Watched(a_policy(a_target(Target.PICK_UP)))


class TestPickUp:
    """From the first time in a queue to the first assignment."""

    def test_the_whole_way_past_both_levels(self) -> None:
        """Desired 10 minutes, adequate 20, a warning at three quarters of 20: each fires at its time, once."""
        watched = pick_up_only()
        assert watched.happens(QUEUED) == ["PICK_UP SET"]
        assert watched.clock(T0 + 10 * MINUTE - 1) == []
        assert watched.clock(T0 + 10 * MINUTE) == ["PICK_UP DESIRED_PASSED DESIRED"]
        assert watched.clock(T0 + 15 * MINUTE) == ["PICK_UP WARNED 0.75"]
        assert watched.clock(T0 + 20 * MINUTE) == ["PICK_UP BREACHED ADEQUATE"]
        assert watched.clock(T0 + 999 * MINUTE) == []

    def test_assigned_in_time(self) -> None:
        """The pick-up is met at the desired level; nothing fires afterwards."""
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(ASSIGNED, T0 + 3 * MINUTE) == ["PICK_UP MET DESIRED"]
        assert watched.reported[-1].used_ms == 3 * MINUTE
        assert watched.clock(T0 + 999 * MINUTE) == []

    def test_assigned_between_the_levels(self) -> None:
        watched = pick_up_only()
        watched.happens(QUEUED)
        watched.clock(T0 + 10 * MINUTE)
        assert watched.happens(ASSIGNED, T0 + 11 * MINUTE) == ["PICK_UP MET ADEQUATE"]

    def test_an_assignment_exactly_at_the_due_time_keeps_the_deadline(self) -> None:
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(ASSIGNED, T0 + 10 * MINUTE) == ["PICK_UP MET DESIRED"]

    def test_a_fact_counts_at_its_own_time(self) -> None:
        """The assignment of minute 5 is read 40 minutes late, and keeps the deadline at the desired level."""
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(ASSIGNED, T0 + 5 * MINUTE, read_at=T0 + 45 * MINUTE) == ["PICK_UP MET DESIRED"]

    def test_milestones_due_before_a_fact_are_reported_before_it(self) -> None:
        """An assignment of minute 16 is read before the timers are checked: both milestones come first, in order."""
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(ASSIGNED, T0 + 16 * MINUTE) == [
            "PICK_UP DESIRED_PASSED DESIRED",
            "PICK_UP WARNED 0.75",
            "PICK_UP MET ADEQUATE",
        ]

    def test_queueing_again_continues_the_same_deadline(self) -> None:
        """An expired offer starts no new clock. After an agent had it, the customer waits again."""
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(QUEUED, T0 + 5 * MINUTE, again=True) == []
        assert watched.clock(T0 + 10 * MINUTE) == ["PICK_UP DESIRED_PASSED DESIRED"]
        assert watched.happens(ASSIGNED, T0 + 11 * MINUTE) == ["PICK_UP MET ADEQUATE"]
        assert watched.happens(QUEUED, T0 + 12 * MINUTE, again=True) == ["PICK_UP#2 SET"]
        assert watched.happens(ASSIGNED, T0 + 13 * MINUTE) == ["PICK_UP#2 MET DESIRED"]

    def test_a_transfer_keeps_the_deadline_and_changes_the_queue(self) -> None:
        watched = pick_up_only()
        watched.happens(QUEUED)
        assert watched.happens(RoutingFactKind.MOVED, T0 + MINUTE, queue="support") == []
        watched.clock(T0 + 10 * MINUTE)
        assert (watched.reported[-1].queue, watched.reported[-1].desired_at_ms) == ("support", T0 + 10 * MINUTE)


class TestEscalation:
    def test_the_first_warning_raises_the_priority_and_later_ones_do_not(self) -> None:
        watched = Watched(a_policy(a_target(warn_at=(0.9, 0.25, 0.6), escalate=7)))
        watched.happens(QUEUED)
        watched.clock(T0 + 20 * MINUTE)
        warned = [o for o in watched.reported if o.kind is OccurrenceKind.WARNED]
        assert [(o.share, o.escalate_priority) for o in warned] == [(0.25, 7), (0.6, 0), (0.9, 0)]


class TestResponses:
    """First response: arrival to the first reply. Next response: customer's message to the next reply."""

    def test_the_first_response_counts_from_the_arrival(self) -> None:
        """It arrived four minutes before it was queued: six of the ten minutes are left."""
        watched = Watched(a_policy(a_target(Target.FIRST_RESPONSE)))
        watched.happens(QUEUED, arrived=T0 - 4 * MINUTE)
        assert watched.clock(T0 + 6 * MINUTE) == ["FIRST_RESPONSE DESIRED_PASSED DESIRED"]

    def test_each_turn_of_the_conversation_is_an_instance(self) -> None:
        """A message after a reply starts the clock, more messages do not restart it, and the reply stops it; then
        the same again."""
        watched = Watched(a_policy(a_target(Target.NEXT_RESPONSE)))
        assert watched.happens(QUEUED) == []
        assert watched.happens(MESSAGED, T0 + MINUTE) == [], "no agent has replied yet"
        assert watched.happens(REPLIED, T0 + 2 * MINUTE) == []
        assert watched.happens(MESSAGED, T0 + 3 * MINUTE) == ["NEXT_RESPONSE SET"]
        assert watched.happens(MESSAGED, T0 + 8 * MINUTE) == []
        assert watched.happens(REPLIED, T0 + 12 * MINUTE) == ["NEXT_RESPONSE MET DESIRED"]
        assert watched.reported[-1].used_ms == 9 * MINUTE
        assert watched.happens(REPLIED, T0 + 13 * MINUTE) == []
        assert watched.happens(MESSAGED, T0 + 60 * MINUTE) == ["NEXT_RESPONSE#2 SET"]
        assert watched.clock(T0 + 70 * MINUTE) == ["NEXT_RESPONSE#2 DESIRED_PASSED DESIRED"]

    def test_a_long_conversation_keeps_only_its_last_turns(self) -> None:
        watched = Watched(a_policy(a_target(Target.NEXT_RESPONSE)))
        watched.happens(QUEUED)
        for turn in range(1, 40):
            watched.happens(REPLIED, T0 + 2 * turn * MINUTE)
            watched.happens(MESSAGED, T0 + (2 * turn + 1) * MINUTE)
        assert [d.epoch for d in watched.tracked.interactions["i1"].deadlines] == list(range(32, 40))


class TestResolution:
    """From the arrival to the completion; paused while a reply from the customer is awaited, if the policy says so."""

    def resolution(self, *, pause: bool = True) -> Watched:
        watched = Watched(a_policy(a_target(Target.RESOLUTION), pause=pause))
        watched.happens(QUEUED)
        return watched

    def test_the_customers_time_does_not_count(self) -> None:
        """Two minutes, then a day of waiting for the customer, then eight minutes: due after ten."""
        day = 1440 * MINUTE
        watched = self.resolution()
        assert watched.happens(REPLIED, T0 + 2 * MINUTE) == ["RESOLUTION PAUSED"]
        assert (watched.reported[-1].desired_at_ms, watched.reported[-1].used_ms) == (0, 2 * MINUTE)
        assert watched.clock(T0 + day) == []
        assert watched.happens(MESSAGED, T0 + day) == ["RESOLUTION RESUMED"]
        assert watched.reported[-1].desired_at_ms == T0 + day + 8 * MINUTE
        assert watched.clock(T0 + day + 8 * MINUTE - 1) == []
        assert watched.clock(T0 + day + 8 * MINUTE) == ["RESOLUTION DESIRED_PASSED DESIRED"]
        assert watched.happens(COMPLETED, T0 + day + 9 * MINUTE) == ["RESOLUTION MET ADEQUATE"]
        assert watched.reported[-1].used_ms == 11 * MINUTE

    def test_milestones_reported_before_a_pause_are_not_reported_again(self) -> None:
        watched = self.resolution()
        watched.clock(T0 + 16 * MINUTE)
        watched.happens(REPLIED, T0 + 17 * MINUTE)
        watched.happens(MESSAGED, T0 + 100 * MINUTE)
        assert watched.clock(T0 + 500 * MINUTE) == ["RESOLUTION BREACHED ADEQUATE"]
        assert watched.reported[-1].adequate_at_ms == T0 + 103 * MINUTE

    def test_completed_while_a_customer_reply_is_awaited(self) -> None:
        watched = self.resolution()
        watched.happens(REPLIED, T0 + 2 * MINUTE)
        assert watched.happens(COMPLETED, T0 + 500 * MINUTE) == ["RESOLUTION MET DESIRED"]
        assert watched.reported[-1].used_ms == 2 * MINUTE

    def test_without_the_setting_the_clock_is_not_paused(self) -> None:
        watched = self.resolution(pause=False)
        assert watched.happens(REPLIED, T0 + 2 * MINUTE) == []
        assert watched.clock(T0 + 10 * MINUTE) == ["RESOLUTION DESIRED_PASSED DESIRED"]


class TestTheEnd:
    def test_abandoned_cancels_everything(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        assert watched.happens(RoutingFactKind.ABANDONED, T0 + MINUTE) == [
            "PICK_UP CANCELLED",
            "FIRST_RESPONSE CANCELLED",
            "RESOLUTION CANCELLED",
        ]
        assert watched.reported[-1].reason == "ABANDONED"
        assert watched.clock(T0 + 9 * MINUTE) == []

    def test_completion_without_a_reply_cancels_the_response_targets(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + MINUTE)
        assert watched.happens(COMPLETED, T0 + 2 * MINUTE) == ["RESOLUTION MET DESIRED", "FIRST_RESPONSE CANCELLED"]

    def test_a_breached_deadline_fulfilled_late_is_counted_without_an_occurrence(self) -> None:
        watched = pick_up_only()
        watched.happens(QUEUED)
        watched.clock(T0 + 20 * MINUTE)
        assert watched.happens(ASSIGNED, T0 + 30 * MINUTE) == []
        (key, tally), *_ = watched.tracked.tallies.items()
        assert isinstance(key, TallyKey)
        assert (tally.breached, tally.late, tally.met_desired) == (1, 1, 0)

    def test_a_closed_interaction_is_forgotten_with_its_plan(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(COMPLETED, T0 + MINUTE)
        watched.clock(T0 + MINUTE + FORGET_AFTER - 1)
        assert watched.tracked.interactions["i1"].closed_at_ms == T0 + MINUTE
        watched.clock(T0 + MINUTE + FORGET_AFTER)
        assert (watched.tracked.interactions, watched.tracked.plans, watched.tracked.next_wakeup()) == ({}, {}, None)
        changes = watched.tracked.take_changes()
        assert "i1" in changes.interactions
        assert "acme/1/standard" in changes.plans

    def test_facts_do_not_change_a_closed_interaction(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(RoutingFactKind.CANCELLED, T0 + MINUTE)
        assert watched.happens(QUEUED, T0 + 2 * MINUTE) == []
        assert watched.happens(REPLIED, T0 + 3 * MINUTE) == []


class TestPolicies:
    """The first policy that matches is chosen, when the interaction is first queued."""

    def test_queue_channel_and_tier_decide_in_order(self) -> None:
        gold = a_policy(a_target(desired=MINUTE), name="gold", tiers=["gold"])
        mail = a_policy(a_target(desired=5 * MINUTE), name="mail", channels=["email"])
        sales = a_policy(a_target(desired=2 * MINUTE), name="sales", queues=["sales"])
        watched = Watched(gold, mail, sales)
        watched.happens(QUEUED, interaction="a", tier="gold", channel="email")
        watched.happens(QUEUED, interaction="b", tier="silver", channel="email")
        watched.happens(QUEUED, interaction="c")
        assert [o.policy for o in watched.reported] == ["gold", "mail", "sales"]
        assert watched.happens(QUEUED, interaction="d", queue="other") == []

    def test_a_new_configuration_changes_nothing_for_open_interactions(self) -> None:
        watched = pick_up_only()
        watched.happens(QUEUED)
        watched.policies = (a_policy(a_target(desired=MINUTE), name="stricter"),)
        assert watched.clock(T0 + 9 * MINUTE) == []
        watched.happens(QUEUED, T0 + 9 * MINUTE, interaction="i2")
        assert watched.reported[-1].policy == "stricter"

    def test_an_interaction_queued_before_any_policy_stays_untracked(self) -> None:
        watched = Watched()
        assert watched.happens(QUEUED, again=True) == []
        assert watched.happens(ASSIGNED, T0 + 1) == []
        assert not watched.tracked.interactions


class TestRepetition:
    def test_an_event_that_was_counted_is_not_counted_again(self) -> None:
        """The router numbers the events of an interaction: an event that is not newer is a repetition."""
        watched = Watched(a_policy(a_target(Target.NEXT_RESPONSE)))
        watched.happens(QUEUED, epoch=1)
        watched.happens(REPLIED, T0 + 1, epoch=2)
        assert watched.happens(MESSAGED, T0 + 2, epoch=3) == ["NEXT_RESPONSE SET"]
        assert watched.happens(REPLIED, T0 + 3, epoch=2) == []
        assert watched.happens(REPLIED, T0 + 4, epoch=4) == ["NEXT_RESPONSE MET DESIRED"]

    def test_occurrences_are_identified_by_their_cause(self) -> None:
        """No two occurrences share (cause, ordinal)."""
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(REPLIED, T0 + MINUTE)
        watched.happens(MESSAGED, T0 + 2 * MINUTE)
        watched.clock(T0 + 50 * MINUTE)
        watched.happens(COMPLETED, T0 + 51 * MINUTE)
        assert len({(o.cause, o.ordinal) for o in watched.reported}) == len(watched.reported) > 10


class TestBusinessHours:
    def test_a_deadline_set_in_the_evening_is_due_in_the_morning(self) -> None:
        """Mail at midnight: 60 minutes desired from 17:30 in Berlin, closed at 18:00, opens at 08:00 after a
        weekend."""
        calendar = CalendarSpec("Europe/Berlin", tuple(OpenHours(day, 8 * 60, 18 * 60) for day in range(5)))
        target = a_target(desired=60 * MINUTE, adequate=120 * MINUTE, warn_at=())
        watched = Watched(a_policy(target, calendar=calendar))
        friday = in_zone("Europe/Berlin", "2024-05-17T17:30") * 1000
        monday = in_zone("Europe/Berlin", "2024-05-20T08:30") * 1000
        watched.happens(QUEUED, friday)
        assert watched.reported[0].desired_at_ms == monday
        assert watched.happens(ASSIGNED, monday - 10 * MINUTE) == ["PICK_UP MET DESIRED"]
        assert watched.reported[-1].used_ms == 50 * MINUTE


class TestTimersKept:
    def test_stale_timers_do_not_pile_up(self) -> None:
        """Thousands of pauses and resumptions leave a bounded heap."""
        watched = Watched(a_policy(a_target(Target.RESOLUTION)))
        watched.happens(QUEUED)
        for turn in range(3_000):
            watched.happens(REPLIED, T0 + 2 * turn)
            watched.happens(MESSAGED, T0 + 2 * turn + 1)
        assert len(watched.tracked._heap) < 1_100

    def test_overdue_deadlines_can_be_counted(self) -> None:
        watched = pick_up_only()
        for number in range(5):
            watched.happens(QUEUED, T0 + number * MINUTE, interaction=f"i{number}")
        assert watched.tracked.past_due(T0 + 12 * MINUTE) == 2
        watched.clock(T0 + 12 * MINUTE)
        assert watched.tracked.past_due(T0 + 12 * MINUTE) == 0

    def test_open_deadlines_are_counted_by_target(self) -> None:
        watched = Watched()
        watched.happens(QUEUED)
        watched.happens(ASSIGNED, T0 + 1)
        assert watched.tracked.open_by_target == {
            Target.PICK_UP: 0,
            Target.FIRST_RESPONSE: 1,
            Target.NEXT_RESPONSE: 0,
            Target.RESOLUTION: 1,
        }
        assert watched.restored().tracked.open_by_target == watched.tracked.open_by_target
        assert watched.tracked.interactions["i1"].deadlines[0].state is State.MET
        assert watched.tracked.interactions["i1"].deadlines[0].met_level is Level.DESIRED
