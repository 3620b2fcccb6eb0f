"""Submit by gRPC: turns a request into a message, or into a refusal that names the fields.

The tenant comes from the token. An identity is as verified as the caller's token: a caller that may submit vouches for its
customers.
"""

from chapar.ingest.v1 import ingest_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter
from services.ingest.adapters.edges.originals import with_originals
from services.ingest.domain.messages import Wishes
from services.ingest.domain.normalise.language import language_code
from services.ingest.domain.normalise.message import IncomingMessage, Refusal
from services.ingest.domain.normalise.text import clean_name, forbidden
from services.ingest.domain.normalise.webhook import attached, kind_of, wrong_fields
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Accounts

CHANNEL = "grpc"
DEFAULT_ACCOUNT = "default"
_LATEST_S = 253_402_300_800
_VOUCHED = Origin(OriginProof.CALLER, "the caller's token")


class Submitter:
    """Handles SubmitRequests."""

    def __init__(self, accounts: Accounts, ingress_limiter: IngressLimiter) -> None:
        self._accounts = accounts
        self._ingress_limiter = ingress_limiter

    async def submit(self, tenant: str, request: ingest_pb2.SubmitRequest) -> ingest_pb2.SubmitResponse:
        """Take one message; it is durable when this returns.

        Raises INVALID with violations, NOT_FOUND, EXHAUSTED, TOO_LARGE, UNAVAILABLE.
        """
        name = request.account or DEFAULT_ACCOUNT
        account = self._accounts.find(tenant, CHANNEL, name)
        if account is None:
            raise ChaparError(
                ErrorKind.NOT_FOUND,
                Reason.UNKNOWN_ACCOUNT,
                f"this tenant has no account {name[:100]!a} of channel {CHANNEL}: configure it or use another account",
            )
        message = submitted(account, request)
        messages = with_originals(account, (message,), request.SerializeToString)
        taken = await self._ingress_limiter.take(account, messages)
        if taken.refused is not None:
            raise taken.refused
        record = taken.records[0].message
        answer = ingest_pb2.SubmitResponse(message_id=record.message_id, identity_id=record.identity.identity_id)
        answer.accepted_at.FromMilliseconds(record.received_at_ms)
        return answer


def submitted(account: Account, request: ingest_pb2.SubmitRequest) -> IncomingMessage:
    """Return the message in a request. Raises INVALID with a violation for each wrong field."""
    labels = dict(request.labels)
    language_wrong = bool(request.language) and not language_code(request.language)
    raise_for(
        (
            wrong_fields(
                request.idempotency_key,
                "idempotency_key",
                request.native_id,
                "native_id",
                request.text,
                request.customer_left or bool(request.files),
                labels,
            ),
            optional("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
            optional("preferred_agent", request.preferred_agent),
            optional("preferred_team", request.preferred_team),
            *(_no_time(request, field) for field in ("start_at", "due_at")),
            forbidden(request.native_id, "native_id"),
            forbidden(request.text, "text"),
            *(forbidden(part, "labels") for pair in labels.items() for part in pair),
            Refusal(Reason.INVALID_FIELD, "language", "must be a BCP 47 language such as fa or en-GB")
            if language_wrong
            else None,
        )
    )
    return IncomingMessage(
        native_id=request.native_id,
        native_message_id=request.idempotency_key,
        text=request.text,
        kind=kind_of(request.text, bool(request.files)),
        attachments=attached((each.name, each.content) for each in request.files),
        display_name=clean_name(request.display_name),
        language=request.language,
        sent_at_ms=request.sent_at.ToMilliseconds() if request.HasField("sent_at") else 0,
        labels=labels,
        reply_context={"native_id": request.native_id},
        customer_left=request.customer_left,
        origin=_VOUCHED,
        wishes=Wishes(
            request.start_at.ToMilliseconds() if request.HasField("start_at") else 0,
            request.due_at.ToMilliseconds() if request.HasField("due_at") else 0,
            request.preferred_agent,
            request.preferred_team,
        ),
    )


def _no_time(request: ingest_pb2.SubmitRequest, field: str) -> Refusal | None:
    """Return a refusal of a time that the router can't represent; None for a valid time."""
    if request.HasField(field) and not 0 < getattr(request, field).seconds < _LATEST_S:  # type: ignore[arg-type]  # one of its fields
        return Refusal(Reason.INVALID_FIELD, field, "must be a time between 1970 and 9999")
    return None
