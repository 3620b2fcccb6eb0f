"""Open interactions under a new configuration: they change only if the policy asks for it, count from their own
start, and no milestone fires twice."""

from services.policy.model.calendars import CalendarSpec, OpenHours
from services.policy.model.sla import Action, Escalation, Level, Point, Target, TargetPlan
from services.sla.domain.deadlines import State
from services.sla.domain.facts import OccurrenceKind, RoutingFactKind
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, a_target

QUEUED, ASSIGNED, REPLIED, MESSAGED = (
    RoutingFactKind.QUEUED,
    RoutingFactKind.ASSIGNED,
    RoutingFactKind.AGENT_REPLIED,
    RoutingFactKind.CUSTOMER_MESSAGED,
)


def watched_pick_up() -> Watched:
    """Return an engine with a pick-up: desired 10 minutes, a warning after 15, adequate 20; version 1 is in force."""
    watched = Watched()
    watched.configured(T0, a_policy(a_target()), version=1)
    watched.happens(QUEUED)
    return watched


def test_open_interactions_keep_their_plan_unless_the_policy_says_otherwise() -> None:
    watched = watched_pick_up()
    stricter = a_target(desired=2 * MINUTE, adequate=4 * MINUTE)
    assert watched.configured(T0 + MINUTE, a_policy(stricter, version=2), version=2) == []
    assert watched.clock(T0 + 9 * MINUTE) == []


def test_due_times_count_from_the_start() -> None:
    """A minute after it was queued, a desired level of two minutes leaves one more."""
    watched = watched_pick_up()
    stricter = a_target(desired=2 * MINUTE, adequate=4 * MINUTE)
    assert watched.configured(T0 + MINUTE, a_policy(stricter, version=2, applies_to_open=True), version=2) == [
        "PICK_UP CHANGED"
    ]
    assert (watched.reported[-1].desired_at_ms, watched.reported[-1].reason) == (T0 + 2 * MINUTE, "POLICY_CHANGED")
    assert watched.clock(T0 + 2 * MINUTE) == ["PICK_UP DESIRED_PASSED DESIRED"]
    assert watched.clock(T0 + 10 * MINUTE) == ["PICK_UP WARNED 0.75", "PICK_UP BREACHED ADEQUATE"]
    assert watched.tracked.plans.keys() == {"acme/2/standard"}


def test_a_milestone_past_due_by_the_new_levels_fires_at_once_with_a_time_not_before_the_change() -> None:
    watched = watched_pick_up()
    stricter = a_target(desired=2 * MINUTE, adequate=4 * MINUTE, warn_at=())
    at = T0 + 9 * MINUTE
    watched.configured(at, a_policy(stricter, version=2, applies_to_open=True), version=2)
    assert watched.clock(at) == ["PICK_UP DESIRED_PASSED DESIRED", "PICK_UP BREACHED ADEQUATE"]
    assert watched.reported[-1].due_ms == at


def test_a_milestone_that_fired_does_not_fire_again() -> None:
    """The desired level and the first warning were reported; under the longer plan only the second warning and the
    breach remain."""
    watched = watched_pick_up()
    watched.clock(T0 + 15 * MINUTE)
    longer = a_target(desired=30 * MINUTE, adequate=60 * MINUTE, warn_at=(0.5, 0.75))
    watched.configured(T0 + 16 * MINUTE, a_policy(longer, version=2, applies_to_open=True), version=2)
    assert watched.clock(T0 + 44 * MINUTE) == []
    assert watched.clock(T0 + 60 * MINUTE) == ["PICK_UP WARNED 0.75", "PICK_UP BREACHED ADEQUATE"]
    assert len({(o.cause, o.ordinal) for o in watched.reported}) == len(watched.reported)


def test_a_warning_is_remembered_through_a_plan_without_it() -> None:
    """Two warnings are reported, then a plan with one warning, then the first plan again: no warning is reported
    twice."""
    two = a_target(Target.RESOLUTION, warn_at=(0.5, 0.75))
    watched = Watched(a_policy(two))
    watched.happens(QUEUED)
    watched.clock(T0 + 15 * MINUTE)
    one = a_target(Target.RESOLUTION, 50 * MINUTE, 90 * MINUTE, (0.75,))
    watched.configured(T0 + 16 * MINUTE, a_policy(one, version=2, applies_to_open=True), version=2)
    watched.configured(T0 + 17 * MINUTE, a_policy(two, version=3, applies_to_open=True), version=3)
    assert watched.clock(T0 + 60 * MINUTE) == ["RESOLUTION BREACHED ADEQUATE"]


def test_events_of_one_index_in_two_plans_are_two_events() -> None:
    """The first milestone is the desired level in one plan and a warning in the other."""
    watched = Watched(a_policy(a_target(warn_at=())))
    watched.happens(QUEUED)
    watched.clock(T0 + 10 * MINUTE)
    other = a_target(desired=30 * MINUTE, adequate=60 * MINUTE, warn_at=(0.25,))
    watched.configured(T0 + 11 * MINUTE, a_policy(other, version=2, applies_to_open=True), version=2)
    assert watched.clock(T0 + 15 * MINUTE) == ["PICK_UP WARNED 0.25"]
    assert len({(o.cause, o.ordinal) for o in watched.reported}) == len(watched.reported)


def test_a_level_that_passed_is_not_kept_under_a_longer_plan() -> None:
    """The passing of the desired level was reported: only the adequate level can still be kept."""
    watched = watched_pick_up()
    watched.clock(T0 + 10 * MINUTE)
    longer = a_target(desired=30 * MINUTE, adequate=60 * MINUTE)
    watched.configured(T0 + 11 * MINUTE, a_policy(longer, version=2, applies_to_open=True), version=2)
    assert watched.happens(ASSIGNED, T0 + 12 * MINUTE) == ["PICK_UP MET ADEQUATE"]


def test_kept_deadlines_stay_kept_and_a_removed_target_is_cancelled() -> None:
    """A target that is new starts with its next event."""
    watched = Watched(a_policy(a_target(), a_target(Target.FIRST_RESPONSE)))
    watched.happens(QUEUED)
    watched.happens(ASSIGNED, T0 + MINUTE)
    new = a_policy(a_target(desired=5), a_target(Target.NEXT_RESPONSE), version=2, applies_to_open=True)
    assert watched.configured(T0 + 2 * MINUTE, new, version=2) == ["FIRST_RESPONSE CANCELLED"]
    assert [(d.target, d.state) for d in watched.tracked.interactions["i1"].deadlines] == [(Target.PICK_UP, State.MET)]
    assert watched.happens(REPLIED, T0 + 3 * MINUTE) == []
    assert watched.happens(MESSAGED, T0 + 4 * MINUTE) == ["NEXT_RESPONSE SET"]


def test_the_time_used_before_a_pause_counts_as_measured() -> None:
    """Two minutes used, then paused, then a new plan of six: four are left."""
    watched = Watched(a_policy(a_target(Target.RESOLUTION)))
    watched.happens(QUEUED)
    watched.happens(REPLIED, T0 + 2 * MINUTE)
    new = a_policy(a_target(Target.RESOLUTION, 6 * MINUTE, 8 * MINUTE), version=2, applies_to_open=True)
    assert watched.configured(T0 + 3 * MINUTE, new, version=2) == ["RESOLUTION CHANGED"]
    watched.happens(MESSAGED, T0 + 100 * MINUTE)
    assert watched.reported[-1].desired_at_ms == T0 + 104 * MINUTE


def test_the_new_plan_decides_whether_the_clock_is_paused() -> None:
    watched = Watched(a_policy(a_target(Target.RESOLUTION), pause=False))
    watched.happens(QUEUED)
    watched.happens(REPLIED, T0 + 2 * MINUTE)
    pausing = a_policy(a_target(Target.RESOLUTION), version=2, applies_to_open=True)
    assert watched.configured(T0 + 3 * MINUTE, pausing, version=2) == ["RESOLUTION CHANGED", "RESOLUTION PAUSED"]
    assert watched.reported[-1].used_ms == 3 * MINUTE
    running = a_policy(a_target(Target.RESOLUTION), pause=False, version=3, applies_to_open=True)
    assert watched.configured(T0 + 9 * MINUTE, running, version=3) == ["RESOLUTION CHANGED", "RESOLUTION RESUMED"]
    assert watched.reported[-1].desired_at_ms == T0 + 16 * MINUTE


def test_a_new_calendar_counts_from_the_start() -> None:
    """The calendar opens at the beginning of the UTC hour only: T0 is 22:13:20, so no time of today counts."""
    always = CalendarSpec("UTC", tuple(OpenHours(day, 0, 60) for day in range(7)))
    watched = watched_pick_up()
    new = a_policy(a_target(), calendar=always, version=2, applies_to_open=True)
    watched.configured(T0 + MINUTE, new, version=2)
    midnight = T0 // 86_400_000 * 86_400_000 + 86_400_000
    assert watched.reported[-1].desired_at_ms == midnight + 10 * MINUTE


def test_the_policy_is_chosen_by_the_first_known_attributes() -> None:
    """The interaction has moved to support meanwhile: the policy for sales still holds, the one for support does
    not."""
    watched = watched_pick_up()
    watched.happens(RoutingFactKind.MOVED, T0 + 1, queue="support")
    for_support = a_policy(a_target(desired=1), name="s", queues=["support"], version=2, applies_to_open=True)
    for_sales = a_policy(a_target(desired=5), name="o", queues=["sales"], version=2, applies_to_open=True)
    watched.configured(T0 + 2, for_support, for_sales, version=2)
    assert watched.reported[-1].policy == "o"


def test_a_version_is_taken_over_once_and_an_equal_plan_changes_nothing() -> None:
    """This holds for another owner of the partition too: the version is in the changelog. A policy with the same
    targets leaves the plan unchanged."""
    watched = watched_pick_up()
    new = a_policy(a_target(desired=5 * MINUTE), version=2, applies_to_open=True)
    watched.configured(T0 + 1, new, version=2)
    watched.happens(QUEUED, T0 + 2, interaction="i2")
    other = watched.restored()
    assert other.tracked.versions == {"acme": 2}
    assert other.configured(T0 + 3, new, version=2) == []
    same = a_policy(a_target(desired=5 * MINUTE), version=3, applies_to_open=True)
    assert other.configured(T0 + 4, same, version=3) == []
    assert other.tracked.interactions["i1"].plan_id == "acme/2/standard"


def test_many_interactions_are_checked_in_portions_and_a_takeover_ends_the_same() -> None:
    """The version is written when all interactions are done; until then a restored engine begins again and changes
    only the rest."""
    watched = Watched()
    watched.configured(T0, a_policy(a_target()), version=1)
    for number in range(5):
        watched.happens(QUEUED, interaction=f"i{number}")
    new = a_policy(a_target(desired=5 * MINUTE), version=2, applies_to_open=True)
    assert len(watched.configured(T0 + 1, new, version=2, most=20)) == 2, "a change counts as ten checks"
    assert (watched.tracked.versions, watched.policy_changes.busy) == ({"acme": 1}, True)
    other = watched.restored()
    assert len(other.configured(T0 + 2, new, version=2)) == 3
    assert (other.tracked.versions, other.policy_changes.busy) == ({"acme": 2}, False)
    for steady in (watched,):
        while steady.policy_changes.busy:
            steady.configured(T0 + 2, new, version=2, most=1)
        dues = {name: interaction.deadlines[0].dues for name, interaction in steady.tracked.interactions.items()}
        assert dues == {name: interaction.deadlines[0].dues for name, interaction in other.tracked.interactions.items()}


def test_escalations_of_the_new_plan_count_and_those_of_fired_milestones_do_not() -> None:
    watched = watched_pick_up()
    watched.clock(T0 + 10 * MINUTE)
    target = TargetPlan.of(
        Target.PICK_UP,
        10 * MINUTE,
        20 * MINUTE,
        escalations=(
            Escalation(Point.DESIRED_PASSED, Action(add_priority=1)),
            Escalation(Point.BREACH, Action(add_priority=2)),
        ),
    )
    watched.configured(T0 + 11 * MINUTE, a_policy(target, version=2, applies_to_open=True), version=2)
    watched.clock(T0 + 60 * MINUTE)
    done = [o.action.add_priority for o in watched.reported if o.kind is OccurrenceKind.ESCALATED and o.action]
    assert done == [2]


def test_a_decided_deadline_still_shows_its_due_times() -> None:
    """The new plan has its milestones in other places."""
    watched = watched_pick_up()
    watched.happens(ASSIGNED, T0 + MINUTE)
    new = a_target(desired=40 * MINUTE, adequate=50 * MINUTE, warn_at=(0.3, 0.5, 0.9))
    watched.configured(T0 + 2 * MINUTE, a_policy(new, version=2, applies_to_open=True), version=2)
    (deadline,) = watched.tracked.interactions["i1"].deadlines
    desired, adequate = deadline.due_of(Level.DESIRED, new), deadline.dues[-1]
    assert (desired, adequate) == (T0 + 10 * MINUTE, T0 + 20 * MINUTE)


def test_the_router_gets_the_new_time() -> None:
    watched = watched_pick_up()
    new = a_policy(a_target(desired=5 * MINUTE), version=2, applies_to_open=True, orders=True)
    watched.configured(T0 + 1, new, version=2)
    assert watched.reported[-1].orders_queue
