"""PersonService: writes links and erasures as records under the identity's key; reads come from the history."""

from typing import Any

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.ingest.adapters.edges.erasure import PersonEraser
from services.ingest.adapters.edges.grpc_blocks import SenderBlocks
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.adapters.edges.grpc_preferences import PersonWishes
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.reasons import Reason
from services.ingest.ports import People, Questions

MAX_IDENTITIES = 100


class PersonServicer(ingest_pb2_grpc.PersonServiceServicer):
    """See the contract."""

    def __init__(
        self,
        questions: Questions,
        people: People | None,
        eraser: PersonEraser,
        clock: Clock,
        wishes: PersonWishes,
        blocks: SenderBlocks,
    ) -> None:
        self._wishes = wishes
        self._blocks = blocks
        self._questions = questions
        self._people = people
        self._eraser = eraser
        self._clock = clock

    async def GetPerson(self, request: ingest_pb2.GetPersonRequest, context: Any) -> ingest_pb2.GetPersonResponse:  # noqa: N802 - the contract's name
        """Return a person, their identities, and how they want to be reached."""
        raise_for((required("person_id", request.person_id),))
        return await self._blocks.add_to(await self._wishes.person(request.person_id))

    async def LinkIdentity(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.LinkIdentityRequest, context: Any
    ) -> ingest_pb2.LinkIdentityResponse:
        """Link an identity; it is linked when this returns. The home identity is checked first: the tenant must know it."""
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
                required("home_identity_id", request.home_identity_id),
                required("evidence", request.evidence),
                Refusal(Reason.INVALID_FIELD, "home_identity_id", "must be another identity")
                if request.home_identity_id and request.home_identity_id == request.identity_id
                else None,
            )
        )
        await self._link(request.idempotency_key, request.identity_id, request.home_identity_id, request.evidence)
        return ingest_pb2.LinkIdentityResponse()

    async def UnlinkIdentity(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.UnlinkIdentityRequest, context: Any
    ) -> ingest_pb2.UnlinkIdentityResponse:
        """Unlink an identity; it is unlinked when this returns."""
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
            )
        )
        await self._link(request.idempotency_key, request.identity_id, "", "")
        return ingest_pb2.UnlinkIdentityResponse()

    async def SetPreferences(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.SetPreferencesRequest, context: Any
    ) -> ingest_pb2.SetPreferencesResponse:
        """Set opt-outs and the preferred channel."""
        return await self._wishes.set_preferences(request)

    async def CreateJoinLink(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.CreateJoinLinkRequest, context: Any
    ) -> ingest_pb2.CreateJoinLinkResponse:
        """Make a link by which the customer continues on another channel."""
        return await self._wishes.create_join_link(request)

    async def SuggestIdentities(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.SuggestIdentitiesRequest, context: Any
    ) -> ingest_pb2.SuggestIdentitiesResponse:
        """Suggest identities that may be the same customer."""
        return await self._wishes.suggest(request)

    async def BlockSender(self, request: ingest_pb2.BlockSenderRequest, context: Any) -> ingest_pb2.BlockSenderResponse:  # noqa: N802 - the contract's name
        """Block a sender until a time."""
        return await self._blocks.block(request)

    async def UnblockSender(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.UnblockSenderRequest, context: Any
    ) -> ingest_pb2.UnblockSenderResponse:
        """End the block of a sender."""
        return await self._blocks.unblock(request)

    async def ListBlocked(self, request: ingest_pb2.ListBlockedRequest, context: Any) -> ingest_pb2.ListBlockedResponse:  # noqa: N802 - the contract's name
        """List the senders that are blocked now."""
        return await self._blocks.list(request)

    async def ErasePerson(self, request: ingest_pb2.ErasePersonRequest, context: Any) -> ingest_pb2.ErasePersonResponse:  # noqa: N802 - the contract's name
        """Return the report of the erasure. A repeated request is the same erasure and reports its current progress."""
        nobody = not request.person_id and not request.identity_ids
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                optional("person_id", request.person_id),
                *(required("identity_ids", each) for each in request.identity_ids),
                Refusal(Reason.INVALID_FIELD, "identity_ids", f"must not be more than {MAX_IDENTITIES}")
                if len(request.identity_ids) > MAX_IDENTITIES
                else None,
                Refusal(Reason.INVALID_FIELD, "person_id", "or identity_ids must be given") if nobody else None,
            )
        )
        return await self._eraser.erase(current_tenant(), request, current_caller().subject)

    async def _link(self, request_id: str, identity_id: str, home: str, evidence: str) -> None:
        link = records_pb2.IdentityLink(
            request_id=request_id,
            identity_id=identity_id,
            home_identity_id=home,
            evidence=evidence,
            actor=current_caller().subject,
            occurred_at_ms=self._clock(),
        )
        await self._questions.ask(home or identity_id, records_pb2.InboundRecord(tenant=current_tenant(), link=link))
