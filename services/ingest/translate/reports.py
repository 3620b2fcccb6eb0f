"""Converts reports about deliveries: from an edge to inbound.v1, through the lane of the identity to outbound.v1, and to the
sending core."""

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.deliveries import Reported
from services.ingest.domain.delivery_facts import MAX_PARTS, DeliveryFact, DeliveryState, FactSource
from services.ingest.domain.messages import Purpose
from services.ingest.domain.normalise.message import IncomingReport
from services.ingest.domain.reachability import DeliveryNotice
from services.ingest.domain.stated_reports import StatedReport
from services.ingest.ports import Account
from services.ingest.translate.edges import identity_id_of


def inbound_report(account: Account, report: IncomingReport, now_ms: int) -> records_pb2.InboundRecord:
    """Return the record for inbound.v1. Its key is its tenant and identity_id. It has a native id only when nothing else
    names the delivery. A report without a time is of now."""
    return records_pb2.InboundRecord(
        tenant=account.tenant,
        report=records_pb2.DeliveryReport(
            identity_id=identity_id_of(account, report.recipient),
            conversation_id=report.conversation_id,
            delivery=report.delivery_id,
            native_id="" if report.delivery_id else report.native_id,
            state=records_pb2.DeliveryState.ValueType(report.state),
            part=report.part,
            parts=report.parts,
            source=records_pb2.DELIVERY_SOURCE_PROVIDER,
            reason=report.reason,
            retryable=report.retryable,
            stated_at_ms=report.at_ms or now_ms,
            channel=account.channel,
        ),
    )


def stated(record: records_pb2.DeliveryReport) -> StatedReport:
    """Convert a report to the intake core's event. Raises ValueError for a value that this version does not know."""
    return StatedReport(record.conversation_id, record.channel, reported(record))


def reported(record: records_pb2.DeliveryReport) -> Reported:
    """Convert a report to the sending core's event. Raises ValueError for a value that this version does not know."""
    return Reported(
        fact=DeliveryFact(
            part=record.part,
            state=DeliveryState(record.state),
            at_ms=record.stated_at_ms,
            source=FactSource(record.source),
            reason=record.reason,
            retryable=record.retryable,
        ),
        delivery=record.delivery,
        native_id=record.native_id,
        parts=min(record.parts, MAX_PARTS),
    )


def delivery_notice(record: records_pb2.DeliveryNotice) -> DeliveryNotice:
    """Convert a notice of the sender. Raises ValueError for a value that this version does not know."""
    return DeliveryNotice(
        identity_id=record.identity_id,
        conversation_id=record.conversation_id,
        interaction_id=record.interaction_id,
        queue=record.queue,
        delivery_id=record.delivery_id,
        purpose=Purpose(record.purpose),
        state=DeliveryState(record.state),
        reason=record.reason,
        address_failed=record.address_failed,
        occurred_at_ms=record.occurred_at_ms,
    )


def outbound_report(tenant: str, conversation_id: str, channel: str, report: Reported) -> records_pb2.OutboundRecord:
    """Return the record for outbound.v1; its key is its tenant and conversation_id."""
    fact = report.fact
    return records_pb2.OutboundRecord(
        tenant=tenant,
        conversation_id=conversation_id,
        report=records_pb2.DeliveryReport(
            conversation_id=conversation_id,
            delivery=report.delivery,
            native_id=report.native_id,
            state=records_pb2.DeliveryState.ValueType(fact.state),
            part=fact.part,
            parts=report.parts,
            source=records_pb2.DeliverySource.ValueType(fact.source),
            reason=fact.reason,
            retryable=fact.retryable,
            stated_at_ms=fact.at_ms,
            channel=channel,
        ),
    )
