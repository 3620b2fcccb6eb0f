"""Maps SLA events to facts. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2
from services.ingest.adapters.history.rows import Fact
from services.ingest.adapters.history.story import SLA, Unreadable, identifier, step, word
from services.ingest.domain.reasons import Reason

_KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        sla_pb2.SLA_EVENT_KIND_DEADLINE_SET: "DeadlineSet",
        sla_pb2.SLA_EVENT_KIND_PAUSED: "DeadlinePaused",
        sla_pb2.SLA_EVENT_KIND_RESUMED: "DeadlineResumed",
        sla_pb2.SLA_EVENT_KIND_WARNED: "DeadlineWarned",
        sla_pb2.SLA_EVENT_KIND_DESIRED_PASSED: "DeadlineDesiredPassed",
        sla_pb2.SLA_EVENT_KIND_BREACHED: "DeadlineBreached",
        sla_pb2.SLA_EVENT_KIND_MET: "DeadlineMet",
        sla_pb2.SLA_EVENT_KIND_CANCELLED: "DeadlineCancelled",
        sla_pb2.SLA_EVENT_KIND_PREDICTED: "DeadlineBreachPredicted",
        sla_pb2.SLA_EVENT_KIND_ESCALATED: "DeadlineEscalated",
        sla_pb2.SLA_EVENT_KIND_CHANGED: "DeadlineChanged",
        sla_pb2.SLA_EVENT_KIND_CORRECTED: "DeadlineBreachCorrected",
        sla_pb2.SLA_EVENT_KIND_REARMED: "DeadlineRearmed",
    }
)


def judged(raw: bytes, offset: int) -> Fact | None:
    """Map a record of sla.events.v1 to a step of the interaction's story. Raises Unreadable, DecodeError."""
    record = sla_pb2.SlaEvent.FromString(raw)
    kind = _KINDS.get(record.kind)
    if kind is None:
        raise Unreadable(Reason.UNKNOWN_KIND)
    details = {
        "target": word(config_pb2.TargetKind.Name, record.target, "TARGET_KIND_"),
        "level": word(sla_pb2.SlaLevel.Name, record.level, "SLA_LEVEL_"),
        "policy": record.policy,
        "queue": record.queue,
        "agent": record.agent_id,
        "instance": str(record.epoch) if record.epoch > 1 else "",
        "used_ms": str(record.used_ms) if record.used_ms else "",
        "share": f"{record.share:.2f}" if record.share else "",
        "probability": f"{record.probability:.2f}" if record.probability else "",
        "priority_added": str(added) if (added := record.escalate_priority or record.action.add_priority) else "",
        "moved_to": record.action.queue,
        "requirements": ", ".join(requirement.attribute for requirement in record.action.requirements),
        "webhook": record.action.webhook,
        "supervisors": "true" if record.action.supervisor else "",
    }
    ids = (identifier(record.interaction_id), identifier(record.conversation_id))
    return Fact(step(SLA, record, kind, *ids, position=offset, reason=record.reason, details=details), None)
