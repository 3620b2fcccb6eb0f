"""A level that passed too early is withdrawn when the earlier event turns up."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.model.sla import Target
from services.sla.domain.deadlines import State
from services.sla.domain.facts import OccurrenceKind, RoutingFactKind
from services.sla.domain.measures import Tally
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, all_targets, short
from tests.unit.sla.test_laws import KINDS


def test_a_pick_up_in_time_that_is_read_late_withdraws_the_breach() -> None:
    """CORRECTED comes for each level that was kept, then MET; the breach is counted no more."""
    watched = Watched(a_policy(*all_targets()))
    watched.happens(RoutingFactKind.QUEUED, T0)
    watched.clock(T0 + 500 * MINUTE)
    assert "PICK_UP BREACHED ADEQUATE" in short(watched.reported)
    found = watched.happens(RoutingFactKind.ASSIGNED, T0 + MINUTE, read_at=T0 + 500 * MINUTE)
    assert [one for one in found if one.startswith("PICK_UP")] == [
        "PICK_UP CORRECTED DESIRED",
        "PICK_UP CORRECTED ADEQUATE",
        "PICK_UP MET DESIRED",
    ]
    assert total(watched, Target.PICK_UP) == Tally(met_desired=1)
    deadline = watched.tracked.interactions["i1"].latest(Target.PICK_UP)
    assert deadline is not None
    assert (deadline.state, deadline.used_ms, deadline.late) == (State.MET, MINUTE, False)


def test_a_late_pick_up_withdraws_nothing() -> None:
    watched = Watched(a_policy(*all_targets()))
    watched.happens(RoutingFactKind.QUEUED, T0)
    watched.clock(T0 + 500 * MINUTE)
    assert not [t for t in watched.happens(RoutingFactKind.ASSIGNED, T0 + 400 * MINUTE) if "CORRECTED" in t]
    assert total(watched, Target.PICK_UP) == Tally(breached=1, late=1)


def total(watched: Watched, target: Target) -> Tally:
    found = Tally()
    for key, tally in watched.tracked.tallies.items():
        if key.target is target:
            found.add(tally)
    return found


CLOSING = {RoutingFactKind.COMPLETED, RoutingFactKind.ABANDONED, RoutingFactKind.CANCELLED}
STEPS = st.lists(
    st.tuples(
        KINDS, st.integers(0, 25 * MINUTE), st.integers(0, 60 * MINUTE)
    ),  # fact, time before it, how late it is read
    max_size=15,
)


@settings(max_examples=150)
@given(STEPS)
def test_reading_late_changes_no_outcome(steps: list[tuple[RoutingFactKind, int, int]]) -> None:
    """Lives whose events are read while the clock is already ahead end as those whose events are read at once: the same states, levels,
    time used and counts, with each breach that should not have been withdrawn by one correction."""
    punctual, tardy = Watched(a_policy(*all_targets())), Watched(a_policy(*all_targets()))
    for watched in (punctual, tardy):
        watched.happens(RoutingFactKind.QUEUED, T0)
    now = ahead = T0
    for kind, passes, late in steps:
        now += passes
        ahead = max(ahead, now + late)
        punctual.happens(kind, now, again=kind is RoutingFactKind.QUEUED)
        tardy.clock(ahead)
        tardy = tardy.restored() if late % 2 else tardy
        tardy.happens(kind, now, read_at=ahead, again=kind is RoutingFactKind.QUEUED)
        if kind in CLOSING:
            break
    else:
        for watched in (punctual, tardy):
            watched.clock(now + 1440 * MINUTE * 5)
    assert ends(tardy) == ends(punctual)
    for target in Target:
        assert total(tardy, target) == total(punctual, target)


def ends(watched: Watched) -> list[tuple[object, ...]]:
    return [
        (name, d.target, d.epoch, d.state, d.met_level, d.used_ms, d.late)
        for name, interaction in watched.tracked.interactions.items()
        for d in interaction.deadlines
    ]


@settings(max_examples=100)
@given(STEPS)
def test_each_correction_follows_its_breach(steps: list[tuple[RoutingFactKind, int, int]]) -> None:
    """A level is withdrawn only after it was reported, once for each report; warnings are never repeated."""
    watched = Watched(a_policy(*all_targets()))
    watched.happens(RoutingFactKind.QUEUED, T0)
    now = ahead = T0
    for kind, passes, late in steps:
        now += passes
        ahead = max(ahead, now + late)
        watched.clock(ahead)
        watched.happens(kind, now, read_at=ahead, again=kind is RoutingFactKind.QUEUED)
    watched.clock(now + 1440 * MINUTE * 5)
    passed: Counter[tuple[object, ...]] = Counter()
    warned: Counter[tuple[object, ...]] = Counter()
    for o in watched.reported:
        level = (o.target, o.epoch, o.level)
        match o.kind:
            case OccurrenceKind.DESIRED_PASSED | OccurrenceKind.BREACHED:
                passed[level] += 1
                assert passed[level] == 1
            case OccurrenceKind.CORRECTED:
                passed[level] -= 1
                assert passed[level] == 0
            case OccurrenceKind.WARNED:
                warned[(o.target, o.epoch, o.warning)] += 1
            case _:
                pass
    assert all(times == 1 for times in warned.values())
    assert len({(o.cause, o.ordinal) for o in watched.reported}) == len(watched.reported), "every event has its own id"
