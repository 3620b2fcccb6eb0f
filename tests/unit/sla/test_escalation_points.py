"""Warnings by share and by time, and the actions at each of them."""

import pytest

from services.policy.model.sla import Action, Escalation, Level, Point, Target, TargetPlan
from services.sla.domain.facts import OccurrenceKind, RoutingFactKind
from services.sla.translate.events import event_of
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy

URGENT, RESCUE, NOTIFY = Action(add_priority=5), Action(queue="rescue"), Action(webhook="duty", supervisor=True)


def a_plan(*escalations: Escalation) -> TargetPlan:
    """Return a target of 10 and 20 minutes, with warnings after 5, 15, 18 and 19."""
    return TargetPlan.of(
        Target.PICK_UP,
        10 * MINUTE,
        20 * MINUTE,
        (0.25,),
        warn_before=(2 * MINUTE, MINUTE),
        warn_after=(15 * MINUTE, 5 * MINUTE),
        escalations=escalations,
    )


def test_warnings_are_numbered_in_the_order_of_time_and_two_of_one_instant_are_one() -> None:
    plan = a_plan()
    minutes = [m.after_ms // MINUTE for m in plan.milestones if m.level is Level.NONE]
    assert minutes == [5, 15, 18, 19]
    assert [plan.warning_number(at) for at in range(len(plan.milestones))] == [1, 0, 2, 3, 4, 0]


def test_each_action_is_reported_once_after_its_milestone() -> None:
    """A warning by number, the desired level, the breach; several actions at one point come in the order of the
    list."""
    watched = Watched(
        a_policy(
            a_plan(
                Escalation(Point.BREACH, NOTIFY),
                Escalation(Point.WARNING, URGENT, 2),
                Escalation(Point.DESIRED_PASSED, URGENT),
                Escalation(Point.BREACH, RESCUE),
            )
        )
    )
    watched.happens(RoutingFactKind.QUEUED)
    watched.clock(T0 + 60 * MINUTE)
    found = [(o.kind.name, o.warning, o.action) for o in watched.reported[1:]]
    assert found == [
        ("WARNED", 1, None),
        ("DESIRED_PASSED", 0, None),
        ("ESCALATED", 0, URGENT),
        ("WARNED", 2, None),
        ("ESCALATED", 2, URGENT),
        ("WARNED", 3, None),
        ("WARNED", 4, None),
        ("BREACHED", 0, None),
        ("ESCALATED", 0, NOTIFY),
        ("ESCALATED", 0, RESCUE),
    ]
    assert len({(o.cause, o.ordinal) for o in watched.reported}) == len(watched.reported)


def test_nothing_is_escalated_after_the_deadline_was_kept() -> None:
    watched = Watched(a_policy(a_plan(Escalation(Point.BREACH, RESCUE))))
    watched.happens(RoutingFactKind.QUEUED)
    watched.happens(RoutingFactKind.ASSIGNED, T0 + 19 * MINUTE)
    watched.clock(T0 + 60 * MINUTE)
    assert not [o for o in watched.reported if o.kind is OccurrenceKind.ESCALATED]


def test_an_event_carries_the_action() -> None:
    action = Action(3, "rescue", "duty", True, (b"\n\x06senior",))
    watched = Watched(a_policy(a_plan(Escalation(Point.WARNING, action))))
    watched.happens(RoutingFactKind.QUEUED)
    watched.clock(T0 + 5 * MINUTE)
    event = event_of(watched.reported[-1])
    asked = event.action
    assert (asked.add_priority, asked.queue, asked.webhook, asked.supervisor) == (3, "rescue", "duty", True)
    assert [requirement.attribute for requirement in asked.requirements] == ["senior"]
    assert (event.warning, event.escalate_priority) == (1, 0)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({"warn_before": (20 * MINUTE,)}, "not between the start and the adequate level"),
        ({"warn_before": (-1,)}, "not between the start and the adequate level"),
        ({"warn_after": (20 * MINUTE,)}, "not between the start and the adequate level"),
        ({"warn_after": (0,)}, "not between the start and the adequate level"),
        ({"escalations": (Escalation(Point.WARNING, URGENT, 2),), "warn_after": (5,)}, "there are 1 warnings"),
    ],
)
def test_a_warning_that_can_never_fire_in_time_is_refused(of: dict[str, tuple[object, ...]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TargetPlan.of(Target.PICK_UP, 10 * MINUTE, 20 * MINUTE, **of)  # type: ignore[arg-type]  # the test's own keywords
