"""OutboundService: sends a request as a question to the identity's lane, its only writer, and answers with the lane's verdict.

The delivery's id is derived from the tenant and the idempotency key. So it can be returned before anything is sent, and a
repeated request is the same delivery.
"""

from collections.abc import AsyncIterator
from typing import Any

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.chassis.ids import derive
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.adapters.edges.grpc_resend import Resender
from services.ingest.adapters.edges.grpc_templates import ConfiguredTemplates
from services.ingest.adapters.edges.grpc_upload import Uploader
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Deliveries, IdentityOf, Questions
from services.policy.model.mail_addresses import first_wrong

MAX_TEXT_BYTES = 200_000
_SURVEYS = ("csat", "nps", "ces", "text")


class OutboundServicer(ingest_pb2_grpc.OutboundServiceServicer):
    """See the contract."""

    def __init__(
        self,
        questions: Questions,
        identity_of: IdentityOf,
        deliveries: Deliveries | None,
        clock: Clock,
        resender: Resender,
        templates: ConfiguredTemplates,
        uploader: Uploader,
    ) -> None:
        self._questions = questions
        self._resender = resender
        self._templates = templates
        self._uploader = uploader
        self._identity_of = identity_of
        self._deliveries = deliveries
        self._clock = clock

    async def Send(self, request: ingest_pb2.SendRequest, context: Any) -> ingest_pb2.SendResponse:  # noqa: N802 - the contract's name
        """Ask the sender to send; it has the request when this returns. An id of another tenant is NOT_FOUND."""
        tenant = current_tenant()
        raise_for(_wrong(request))
        identity_id = request.identity_id or await self._identity(tenant, request.conversation_id)
        caller = current_caller()
        record = records_pb2.InboundRecord(
            tenant=tenant,
            outbound=records_pb2.OutboundRequest(
                request_id=request.idempotency_key,
                tenant=tenant,
                identity_id=identity_id,
                conversation_id=request.conversation_id,
                interaction_id=request.interaction_id,
                text=request.text,
                purpose=request.purpose,
                invitation_id=request.invitation_id,
                survey_kind=request.survey_kind,
                survey_expires_at_ms=request.survey_expires_at.ToMilliseconds()
                if request.HasField("survey_expires_at")
                else 0,
                survey_amend_for_ms=request.survey_amend_for_ms,
                author_kind=types_pb2.ACTOR_KIND_AGENT if caller.agent_id else types_pb2.ACTOR_KIND_SYSTEM,
                author_id=caller.agent_id or caller.subject,
                requested_at_ms=self._clock(),
                to=request.to,
                cc=request.cc,
                template=request.template if request.HasField("template") else None,
            ),
        )
        await self._questions.ask(identity_id, record)
        return ingest_pb2.SendResponse(delivery_id=derive(tenant, request.idempotency_key))

    async def Resend(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.ResendRequest, context: Any
    ) -> ingest_pb2.ResendResponse:
        """Send a message again that failed or whose outcome is unknown."""
        return await self._resender.resend(request)

    async def ListTemplates(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.ListTemplatesRequest, context: Any
    ) -> ingest_pb2.ListTemplatesResponse:
        """Return the approved templates of the tenant's accounts."""
        return self._templates.list_templates(request)

    async def CheckRecipient(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.CheckRecipientRequest, context: Any
    ) -> ingest_pb2.CheckRecipientResponse:
        """Ask the lane to check the ids, as Send does, without sending."""
        raise_for(
            (
                required("identity_id", request.identity_id),
                *(
                    optional(name, getattr(request, name))
                    for name in ("conversation_id", "interaction_id", "person_id")
                ),
            )
        )
        check = records_pb2.OwnershipCheck(
            identity_id=request.identity_id,
            conversation_id=request.conversation_id,
            interaction_id=request.interaction_id,
            person_id=request.person_id,
        )
        await self._questions.ask(request.identity_id, records_pb2.InboundRecord(tenant=current_tenant(), check=check))
        return ingest_pb2.CheckRecipientResponse()

    async def UploadFile(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ingest_pb2.UploadFileRequest], context: Any
    ) -> ingest_pb2.UploadFileResponse:
        """Store a file for a reply."""
        return await self._uploader.upload(request_iterator)

    async def GetDelivery(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetDeliveryRequest, context: Any
    ) -> ingest_pb2.GetDeliveryResponse:
        """Return the newest record of a delivery."""
        tenant = current_tenant()
        raise_for((required("delivery_id", request.delivery_id),))
        if self._deliveries is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        found = await self._deliveries.delivery(tenant, request.delivery_id)
        if found is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_DELIVERY, "this delivery is not known (yet)")
        return ingest_pb2.GetDeliveryResponse(delivery=found)

    async def _identity(self, tenant: str, conversation_id: str) -> str:
        found = await self._identity_of(tenant, conversation_id)
        if found is None:
            field = FieldViolation("conversation_id", "is not a conversation of this tenant")
            raise ChaparError(
                ErrorKind.NOT_FOUND,
                Reason.UNKNOWN_CONVERSATION,
                "this conversation is not known (yet): give the identity_id",
                violations=(field,),
            )
        return found


def _wording(request: ingest_pb2.SendRequest) -> list[Refusal | None]:
    """Return what is wrong with the text or the template: one of them is needed."""
    if not request.HasField("template"):
        return [required("text", request.text, MAX_TEXT_BYTES)]
    both = Refusal(Reason.INVALID_FIELD, "text", "must be empty with a template")
    return [both if request.text else None, required("template.name", request.template.name)]


def _wrong(request: ingest_pb2.SendRequest) -> list[Refusal | None]:
    survey = request.purpose == records_pb2.OUTBOUND_PURPOSE_SURVEY
    found = [
        required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
        optional("identity_id", request.identity_id),
        optional("conversation_id", request.conversation_id),
        optional("interaction_id", request.interaction_id),
        optional("invitation_id", request.invitation_id),
        *_wording(request),
        required("invitation_id", request.invitation_id) if survey and not request.invitation_id else None,
    ]
    if not request.identity_id and not request.conversation_id:
        found.append(Refusal(Reason.INVALID_FIELD, "identity_id", "or conversation_id must be given"))
    if request.purpose not in records_pb2.OutboundPurpose.values():
        found.append(Refusal(Reason.INVALID_FIELD, "purpose", "is not known"))
    if survey and request.survey_kind not in _SURVEYS:
        found.append(Refusal(Reason.INVALID_FIELD, "survey_kind", f"must be one of {', '.join(_SURVEYS)}"))
    if wrong := first_wrong(request.to, request.cc):
        found.append(Refusal(Reason.INVALID_FIELD, "to", wrong))
    if survey and (request.to or request.cc):
        found.append(Refusal(Reason.INVALID_FIELD, "to", "a survey goes to the customer"))
    if request.survey_amend_for_ms < 0:
        found.append(Refusal(Reason.INVALID_FIELD, "survey_amend_for_ms", "must not be negative"))
    return found
