"""The format of SLA events for people."""

from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2
from services.cli.commands.sla import event_line


def test_an_escalation_shows_its_actions_and_its_jalali_date() -> None:
    """Nowruz 1405 is 21 March 2026."""
    action = sla_pb2.SlaAction(add_priority=5, queue="rescue", webhook="duty", supervisor=True)
    action.requirements.add(attribute="senior")
    event = sla_pb2.SlaEvent(
        interaction_id="i1",
        queue="sales",
        kind=sla_pb2.SLA_EVENT_KIND_ESCALATED,
        target=config_pb2.TARGET_KIND_PICK_UP,
        occurred_at_ms=1_774_094_400_000,
        action=action,
    )
    line = event_line(event, jalali=True)
    assert line.startswith("1405/01/01 ")
    assert line.endswith("i1  priority +5, needs senior, to rescue, notifies duty, for supervisors")
    assert "escalated    pick_up         sales" in line


def test_another_event_ends_with_its_interaction() -> None:
    event = sla_pb2.SlaEvent(interaction_id="i1", kind=sla_pb2.SLA_EVENT_KIND_MET, occurred_at_ms=1)
    assert event_line(event).endswith(" i1")
