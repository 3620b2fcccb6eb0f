"""PersonService: how a person wants to be reached, links that join identities, and suggestions of identities."""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.domain.join_links import SECRET_BYTES, digest_of, link_text
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.preferences import MOST_OPT_OUTS
from services.ingest.domain.reasons import Reason
from services.ingest.ports import People, Questions
from services.policy.reading.channels import CHANNELS

DEFAULT_VALID_MS: Final = 900_000
MOST_SUGGESTIONS: Final = 50


class PersonWishes:
    """Handles the methods about one person. `people` is None on a replica without history."""

    def __init__(
        self,
        questions: Questions,
        people: People | None,
        clock: Clock,
        secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._questions = questions
        self._people = people
        self._clock = clock
        self._secret = secret

    async def set_preferences(self, request: ingest_pb2.SetPreferencesRequest) -> ingest_pb2.SetPreferencesResponse:
        """Ask the lane of the identity to keep the preferences; they hold when this returns."""
        channels = [request.preferred_channel, *(each.channel for each in request.opt_outs)]
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
                optional("preferred_channel", request.preferred_channel),
                Refusal(Reason.INVALID_FIELD, "opt_outs", f"must not be more than {MOST_OPT_OUTS}")
                if len(request.opt_outs) > MOST_OPT_OUTS
                else None,
                *(
                    Refusal(Reason.INVALID_FIELD, "channel", "is not known")
                    for channel in channels
                    if channel and channel not in CHANNELS
                ),
                *(
                    Refusal(Reason.INVALID_FIELD, "opt_outs.scope", "must be given")
                    for each in request.opt_outs
                    if each.scope not in _SCOPES
                ),
            )
        )
        preferences = records_pb2.PersonPreferences(
            request_id=request.idempotency_key,
            identity_id=request.identity_id,
            opt_outs=request.opt_outs,
            preferred_channel=request.preferred_channel,
            actor=current_caller().subject,
            occurred_at_ms=self._clock(),
        )
        record = records_pb2.InboundRecord(tenant=current_tenant(), preferences=preferences)
        await self._questions.ask(request.identity_id, record)
        return ingest_pb2.SetPreferencesResponse()

    async def person(self, person_id: str) -> ingest_pb2.GetPersonResponse:
        """Return a person, their identities, and how they want to be reached."""
        tenant, people = current_tenant(), self._known_people()
        identities = await _identities(people, tenant, person_id)
        preferences = await people.preferences(tenant, person_id)
        answer = ingest_pb2.GetPersonResponse(
            person_id=person_id, identities=identities, preferred_channel=preferences.preferred_channel
        )
        for held in preferences.opt_outs:
            told = answer.opt_outs.add(channel=held.channel, scope=held.scope, actor=held.actor)
            told.since.FromMilliseconds(held.since_ms)
        return answer

    async def create_join_link(self, request: ingest_pb2.CreateJoinLinkRequest) -> ingest_pb2.CreateJoinLinkResponse:
        """Make a link; the lane of the identity keeps only the digest of its secret."""
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
            )
        )
        secret = self._secret(SECRET_BYTES)
        try:
            text = link_text(request.identity_id, secret)
        except ValueError as error:
            raise ChaparError(
                ErrorKind.NOT_FOUND, Reason.UNKNOWN_IDENTITY, "this is not an id of an identity"
            ) from error
        expires_at_ms = self._clock() + (request.valid_for_ms or DEFAULT_VALID_MS)
        offer = records_pb2.JoinOffer(
            request_id=request.idempotency_key,
            identity_id=request.identity_id,
            digest=digest_of(secret),
            expires_at_ms=expires_at_ms,
        )
        record = records_pb2.InboundRecord(tenant=current_tenant(), join_offer=offer)
        await self._questions.ask(request.identity_id, record)
        answer = ingest_pb2.CreateJoinLinkResponse(text=text)
        answer.expires_at.FromMilliseconds(expires_at_ms)
        return answer

    async def suggest(self, request: ingest_pb2.SuggestIdentitiesRequest) -> ingest_pb2.SuggestIdentitiesResponse:
        """Return identities of other persons with the same proven address."""
        raise_for((required("person_id", request.person_id),))
        tenant, people = current_tenant(), self._known_people()
        await _identities(people, tenant, request.person_id)
        found = await people.same_addresses(tenant, request.person_id, MOST_SUGGESTIONS)
        return ingest_pb2.SuggestIdentitiesResponse(
            suggestions=[
                ingest_pb2.SuggestedIdentity(
                    identity=each.identity,
                    person_id=each.person_id,
                    evidence="same_address",
                    same_as_identity_id=each.same_as,
                )
                for each in found
            ]
        )

    def _known_people(self) -> People:
        if self._people is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        return self._people


async def _identities(people: People, tenant: str, person_id: str) -> Sequence[records_pb2.Identity]:
    found = await people.identities(tenant, person_id)
    if not found:
        raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_PERSON, "this person is not known (yet)")
    return found


_SCOPES: Final = frozenset(records_pb2.OptOutScope.values()) - {records_pb2.OPT_OUT_SCOPE_UNSPECIFIED}
