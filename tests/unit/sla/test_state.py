"""Stored state: a restore reads what the previous version wrote."""

from typing import Any

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.policy.model.sla import NOTHING_KNOWN, SCHEDULE_PAUSES, Plan
from services.sla.domain.deadlines import State
from services.sla.domain.facts import RoutingFactKind
from services.sla.domain.interaction import TrackedInteraction
from services.sla.translate import state
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, a_target

ENTRIES = ChangelogCodec[Any](Any)
OLD_PLAN = {
    "plan_id": "acme/1/standard",
    "policy": "standard",
    "config_version": 1,
    "targets": [
        {
            "target": 1,
            "desired_ms": 600_000,
            "adequate_ms": 1_200_000,
            "milestones": [
                {"after_ms": 600_000, "level": 1, "share": 0.0, "escalate_priority": 0},
                {"after_ms": 900_000, "level": 0, "share": 0.75, "escalate_priority": 5},
                {"after_ms": 1_200_000, "level": 2, "share": 0.0, "escalate_priority": 0},
            ],
        }
    ],
    "calendar": {
        "zone": "UTC",
        "hours": [{"weekday": day, "from_minute": 0, "to_minute": 1440} for day in range(7)],
        "holidays_country": "",
        "closed_dates": [],
        "open_dates": [],
    },
    "pause_while_customer_awaited": True,
}
OLD_INTERACTION = {
    "interaction_id": "i1",
    "conversation_id": "c1",
    "tenant": "acme",
    "pool": "default",
    "queue": "sales",
    "channel": "webchat",
    "plan_id": "acme/1/standard",
    "agent_id": "",
    "last_epoch": 1,
    "last_ms": T0,
    "customer_awaited": False,
    "closed_at_ms": 0,
    "deadlines": [
        {
            "target": 1,
            "epoch": 1,
            "state": 1,
            "since_ms": T0,
            "used_ms": 0,
            "passed": 1,
            "dues": [T0 + 600_000, T0 + 900_000, T0 + 1_200_000],
            "met_level": 0,
            "late": False,
        }
    ],
}


def test_state_written_before_escalations_existed_still_works() -> None:
    """The state was written without conditions, actions, exceptional hours and revisions. Passed milestones stay
    passed, the rest fire at their time, and a new policy with `applies_to_open` is chosen by queue and channel."""
    watched = Watched()
    plan = state.decode(state.plan_key("acme/1/standard"), ENTRIES.encode(OLD_PLAN))
    interaction = state.decode(state.interaction_key("i1"), ENTRIES.encode(OLD_INTERACTION))
    assert isinstance(plan, Plan)
    assert isinstance(interaction, TrackedInteraction)
    assert (plan.pause_until_scheduled, interaction.subject) == (SCHEDULE_PAUSES, NOTHING_KNOWN)
    watched.tracked.restore_interaction(interaction)
    watched.tracked.restore_plan(plan)
    assert watched.clock(T0 + 15 * MINUTE) == ["PICK_UP WARNED 0.75"]
    stricter = a_policy(a_target(adequate=16 * MINUTE), queues=["sales"], version=2, applies_to_open=True)
    watched.configured(T0 + 15 * MINUTE, stricter, version=2)
    assert watched.clock(T0 + 16 * MINUTE) == ["PICK_UP BREACHED ADEQUATE"]
    assert watched.tracked.interactions["i1"].deadlines[0].state is State.BREACHED


def test_equal_subjects_are_kept_once_also_after_a_restore() -> None:
    watched = Watched()
    for name in ("i1", "i2"):
        watched.happens(RoutingFactKind.QUEUED, interaction=name, tier="gold", labels=(("tier", "gold"),))
    for tracked in (watched.tracked, watched.restored().tracked):
        one, two = tracked.interactions.values()
        assert one.subject is two.subject
        assert one.queue is two.queue
