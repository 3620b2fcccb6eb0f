"""Invariants, checked with random histories: at most once, never early, nothing after the end, the same after a
restore."""

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.policy.model.business_time import RoundTheClock
from services.policy.model.calendars import CalendarSpec, OpenHours
from services.policy.model.sla import Target
from services.sla.domain.facts import Occurrence, OccurrenceKind, RoutingFactKind
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, all_targets, calendars, short

OFFICE = CalendarSpec("Asia/Tehran", tuple(OpenHours(day, 8 * 60, 16 * 60) for day in (5, 6, 0, 1, 2)))
KINDS = st.sampled_from(
    [
        *[RoutingFactKind.ASSIGNED, RoutingFactKind.AGENT_REPLIED, RoutingFactKind.CUSTOMER_MESSAGED] * 4,
        *[RoutingFactKind.MOVED, RoutingFactKind.QUEUED, RoutingFactKind.CUSTOMER_LEFT] * 2,
        RoutingFactKind.COMPLETED,
        RoutingFactKind.ABANDONED,
        RoutingFactKind.CANCELLED,
    ]
)
STEPS = st.lists(
    st.tuples(
        st.one_of(st.none(), KINDS),  # None: only the clock
        st.integers(0, 40 * MINUTE),  # time that passes before the fact
        st.sampled_from(["i1", "i2"]),
    ),
    max_size=30,
)
LIVES = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
DECIDED = {OccurrenceKind.MET, OccurrenceKind.CANCELLED}


def live(
    steps: list[tuple[RoutingFactKind | None, int, str]],
    calendar: CalendarSpec | None,
    between: Callable[[Watched], Watched] = lambda watched: watched,
) -> Watched:
    """Queue two interactions at once, then apply these steps; `between` may replace the engine between steps."""
    watched = Watched(a_policy(*all_targets(), calendar=calendar))
    reported: list[Occurrence] = []
    now = T0
    for name in ("i1", "i2"):
        watched.happens(RoutingFactKind.QUEUED, now, interaction=name)
    for kind, passes, name in steps:
        now += passes
        if kind is None:
            watched.clock(now)
        else:
            watched.happens(kind, now, interaction=name, again=kind is RoutingFactKind.QUEUED)
        reported += watched.reported
        watched = between(watched)
        watched.reported = []
    watched.clock(now + 5 * 1440 * MINUTE)
    watched.reported = reported + watched.reported
    return watched


@LIVES
@given(STEPS, st.sampled_from([None, OFFICE]))
def test_each_milestone_fires_at_most_once_and_each_deadline_is_decided_at_most_once(
    steps: list[tuple[RoutingFactKind | None, int, str]], calendar: CalendarSpec | None
) -> None:
    """Per (interaction, target, epoch): set once, each warning and each breach once, one end: met, cancelled or the
    adequate level."""
    reported = live(steps, calendar).reported
    seen = Counter(
        (o.interaction_id, o.target, o.epoch, o.kind, o.level, o.share)
        for o in reported
        if o.kind not in (OccurrenceKind.PAUSED, OccurrenceKind.RESUMED)
    )
    assert not [what for what, times in seen.items() if times > 1]
    ended: set[tuple[str, Target, int]] = set()
    for o, text in zip(reported, short(reported), strict=True):
        instance = (o.interaction_id, o.target, o.epoch)
        assert instance not in ended, f"{text} after the end"
        if o.kind in DECIDED or o.kind is OccurrenceKind.BREACHED:
            ended.add(instance)


@LIVES
@example([(None, 1, "i1"), (RoutingFactKind.COMPLETED, 0, "i2"), (RoutingFactKind.QUEUED, 0, "i2")], None)
@given(STEPS, st.sampled_from([None, OFFICE]))
def test_nothing_is_early_and_used_time_is_open_time_less_pauses(
    steps: list[tuple[RoutingFactKind | None, int, str]], calendar: CalendarSpec | None
) -> None:
    """Each milestone is reported at or after its due time. The calendar time used, summed between the reported
    pauses, is exactly the time allowed."""
    watched = live(steps, calendar)
    time = RoundTheClock() if calendar is None else calendars()(calendar)
    allowed_ms = {(plan.target, m.level, m.share): m.after_ms for plan in all_targets() for m in plan.milestones}
    started: dict[tuple[str, Target, int], tuple[int, int]] = {}
    for o in watched.reported:
        instance = (o.interaction_id, o.target, o.epoch)
        used, since = started.get(instance, (0, 0))
        match o.kind:
            case OccurrenceKind.SET:
                # A reopened target continues with the time used so far.
                started[instance] = (o.used_ms, o.occurred_at_ms)
            case OccurrenceKind.PAUSED:
                started[instance] = (used + time.elapsed(since, o.occurred_at_ms), 0)
                assert o.used_ms == started[instance][0]
            case OccurrenceKind.RESUMED:
                started[instance] = (used, o.occurred_at_ms)
            case OccurrenceKind.WARNED | OccurrenceKind.DESIRED_PASSED | OccurrenceKind.BREACHED:
                assert o.occurred_at_ms >= o.due_ms
                level = type(o.level)(0) if o.kind is OccurrenceKind.WARNED else o.level
                after = allowed_ms[o.target, level, o.share]
                assert used + time.elapsed(since, o.due_ms) == after == o.used_ms
                assert used + time.elapsed(since, o.due_ms - 1) < after, "the due time is the earliest one"
            case OccurrenceKind.MET if since:
                assert o.used_ms == used + time.elapsed(since, o.occurred_at_ms)
            case _:
                pass


@LIVES
@given(STEPS, st.sampled_from([None, OFFICE]))
def test_a_restore_after_every_step_changes_nothing(
    steps: list[tuple[RoutingFactKind | None, int, str]], calendar: CalendarSpec | None
) -> None:
    """An engine that is rebuilt from its stored bytes between any two steps reports the same, to the last field."""
    steady = live(steps, calendar)
    restless = live(steps, calendar, between=Watched.restored)
    assert restless.reported == steady.reported
    assert restless.tracked.interactions == steady.tracked.interactions
    assert restless.tracked.tallies == steady.tracked.tallies
