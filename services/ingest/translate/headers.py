"""The headers of ingest's records. The event ids are the same after any repetition.

Ids that a caller has chosen are derived again together with their tenant, because two tenants may choose the same.
"""

from chapar.common.v1.privacy_pb2 import ErasureOutcome
from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.records import Headers

INBOUND = "inbound.v1"
OUTBOUND = "outbound.v1"
CONVERSATIONS = "conversations.v1"
DELIVERIES = "deliveries.v1"
FETCHES = "ingest.fetches.v1"
WAITING_FETCHES = "ingest.waiting-fetches.v1"
OUTCOMES = "personal.erasures.v1"


def of_inbound(record: records_pb2.InboundRecord) -> Headers:
    """Return the headers of a record of inbound.v1. A record that is forwarded keeps its id."""
    kind = record.WhichOneof("record") or ""
    match kind:
        case "message":
            return record_headers(INBOUND, record.message.message_id, record.tenant)
        case "notice":
            named = record.notice.event_id
        case "outbound":
            named = record.outbound.request_id
        case "link":
            named = record.link.request_id
        case "erasure":
            named = f"{record.erasure.request_id}/{record.erasure.identity_id}"
        case "follow_up":
            named = record.follow_up.request_id
        case "report":
            named = _report(record.report)
        case "preferences":
            named = record.preferences.request_id
        case "shared_preferences":
            shared = record.shared_preferences
            named = f"{shared.request_id}/{shared.from_identity_id}/{shared.identity_id}/{shared.kind}"
        case "sender_block":
            named = record.sender_block.request_id
        case "join_offer":
            named = record.join_offer.request_id
        case "join_claim":
            named = f"{record.join_claim.claimant_id}/{record.join_claim.message_id}"
        case "delivery_notice":
            said = record.delivery_notice
            named = f"{said.delivery_id}/{said.state}/{said.reason}/{said.occurred_at_ms}"
        case _:
            named = record.question_id
    return record_headers(INBOUND, derive(kind, record.tenant, named), record.tenant)


def of_outbound(record: records_pb2.OutboundRecord) -> Headers:
    """Return the headers of a record of outbound.v1. The id of a request is the id of its delivery."""
    kind = record.WhichOneof("record")
    match kind:
        case "request":
            event_id = derive(record.tenant, record.request.request_id)
        case "finished":
            event_id = derive("finished", record.finished.delivery_id, str(record.finished.attempt))
        case "report":
            event_id = derive("report", record.tenant, record.conversation_id, _report(record.report))
        case _:
            route = record.route
            event_id = derive(
                "route",
                record.tenant,
                record.conversation_id,
                route.identity.identity_id,
                str(route.last_customer_message_at_ms),
                route.erased_by,
                str(route.only_if_missing),
                "no marketing" if route.no_marketing else "",
            )
    return record_headers(OUTBOUND, event_id, record.tenant)


def _report(report: records_pb2.DeliveryReport) -> str:
    """Return a name for a report: another one for each state, part and time of a delivery."""
    named = report.delivery or report.native_id
    return f"{report.identity_id}/{named}/{report.part}/{report.state}/{report.source}/{report.stated_at_ms}"


def of_delivery(record: records_pb2.DeliveryRecord) -> Headers:
    """Return the headers of a record of deliveries.v1."""
    return record_headers(DELIVERIES, record.event_id, record.tenant)


def of_conversation(record: records_pb2.ConversationRecord) -> Headers:
    """Return the headers of a record of conversations.v1."""
    return record_headers(CONVERSATIONS, record.event_id, record.tenant)


def of_fetch(record: records_pb2.FileFetch, topic: str = FETCHES) -> Headers:
    """Return the headers of a record about a file that is fetched. Each number of attempts has its own id."""
    event_id = derive("fetch", record.tenant, record.attachment.file_id, str(record.attempts))
    return record_headers(topic, event_id, record.tenant)


def of_outcome(outcome: ErasureOutcome) -> Headers:
    """Return the headers of a record of personal.erasures.v1."""
    event_id = derive("erasure", outcome.tenant, outcome.request_id, outcome.store, outcome.part)
    return record_headers(OUTCOMES, event_id, outcome.tenant)
