"""A call with ids of another tenant is refused at once in every method, without any effect and without a dead letter.

Each request has a control: the same request by the owner of the ids is carried out, or refused for a reason in the table
`NOT_CARRIED_OUT`. This shows that the walk's requests are refused for their ids, not for their form.
A new method fails `test_every_method_has_an_entry` until it has an entry in `requests`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as fb
from chapar.ingest.v1 import ingest_pb2 as ing
from chapar.ingest.v1 import records_pb2 as ing_records
from chapar.router.v1 import router_pb2 as rt
from chapar.sla.v1 import sla_pb2
from services.chassis.grpc.status import from_rpc_error
from tests.integration.tenants.ids import Ids, computed, invented
from tests.integration.tenants.quiescence import quiet
from tests.integration.tenants.requests import (
    AGENTS,
    FEEDBACK,
    INGEST,
    NOTHING,
    OUTBOUND,
    PERSON,
    REFUSED,
    REGISTRY,
    ROUTING,
    SLA,
)
from tests.integration.tenants.stand import AGENT, POOL, QUEUE, RIVAL, SURVEY, VICTIM, Stand, a_stand, methods

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
REFUSALS: Final = frozenset(
    {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
)


def test_every_method_has_an_entry() -> None:
    """Every method has an entry, and every entry has a method."""
    assert set(REGISTRY) == set(methods())


async def until(attempt: Callable[[], Any], within_s: float = 60) -> Any:
    """Repeat `attempt` while it raises NOT_FOUND or UNAVAILABLE, because history is behind the log. Return its result."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                    raise
            await asyncio.sleep(0.05)


async def plant(stand: Stand, tenant: str, native_id: str) -> Ids:
    """Create a customer with a conversation, a waiting interaction, a reply and an invitation."""
    request = ing.SubmitRequest(idempotency_key="m1", native_id=native_id, text="my secret order")
    submitted = await stand.call(tenant, f"{INGEST}Submit", request)
    ids = computed(tenant, native_id, "m1")
    assert submitted.identity_id == ids.identity

    async def known() -> Any:
        await stand.call(tenant, f"{INGEST}GetInteraction", ing.GetInteractionRequest(interaction_id=ids.interaction))
        await stand.call(tenant, f"{PERSON}GetPerson", ing.GetPersonRequest(person_id=ids.person))
        await stand.call(tenant, f"{SLA}GetDeadlines", sla_pb2.GetDeadlinesRequest(interaction_id=ids.interaction))
        return await stand.call(
            tenant, f"{ROUTING}Explain", rt.ExplainRequest(pool=POOL, interaction_id=ids.interaction)
        )

    await until(known)
    sent = await stand.call(
        tenant,
        f"{OUTBOUND}Send",
        ing.SendRequest(
            idempotency_key=f"send-{native_id}",
            identity_id=ids.identity,
            text="hello",
            purpose=ing_records.OUTBOUND_PURPOSE_NOTICE,
        ),
    )
    assert sent.delivery_id == ids.delivery
    about = fb.Subject(
        interaction_id=ids.interaction,
        conversation_id=ids.conversation,
        person_id=ids.person,
        identity_id=ids.identity,
        channel="grpc",
        queue=QUEUE,
    )
    invited = await stand.call(
        tenant, f"{FEEDBACK}Invite", fb.InviteRequest(idempotency_key="i", survey=SURVEY, subject=about)
    )
    assert invited.invitation_id == ids.invitation
    await until(lambda: stand.call(tenant, f"{OUTBOUND}GetDelivery", ing.GetDeliveryRequest(delivery_id=ids.delivery)))
    return ids


@dataclass(frozen=True)
class Scene:
    """The services, a customer of the victim, and two customers of the rival."""

    stand: Stand
    theirs: Ids
    mine: Ids
    other: Ids


@pytest.fixture
async def scene(kafka: Any, prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_stand(kafka.settings(prefix), tmp_path) as stand:
        theirs = await plant(stand, VICTIM, "ann")
        yield Scene(stand, theirs, await plant(stand, RIVAL, "bob"), await plant(stand, RIVAL, "eve"))


async def outcome(stand: Stand, path: str, request: Any) -> str:
    """Return the rival's result: code and reason of a refusal, or the answer as text."""
    try:
        if path == f"{AGENTS}Session":
            result = await stand.session(RIVAL, AGENT, request)
            return f"OK {result}" if result.ok else f"{grpc.StatusCode.NOT_FOUND.name} {result.reason}"
        answer = await stand.call(RIVAL, path, request, within_s=15 if "Watch" not in path else 3)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and "Watch" in path:
            return "nothing"
        return f"{error.code().name} {from_rpc_error(error).reason}"
    return f"OK {answer}"


PASSING: Final = frozenset({"routing.journal.v1", "gateway.feed.v1", "router.state.v1", "sla.state.v1"})
"""Topics whose records also depend on the passing time."""


async def settled(stand: Stand) -> tuple[list[tuple[str, bytes, bytes]], list[bytes]]:
    """Wait until all processing is complete. Return (the victim's records in the log, dead letters)."""
    records = [(each.topic, each.key or b"", each.value or b"") for each in await quiet(stand.kafka, stand.records)]
    mark = VICTIM.encode()
    steady = [each for each in records if each[0] not in PASSING]
    theirs = [each for each in steady if each[1].startswith(mark + b"/") or b"/" + mark + b"/" in each[1]]
    return sorted(theirs), [value for topic, _, value in records if topic == "deadletters.v1"]


def wrong(expected: str, got: str, theirs: Ids) -> bool:
    if expected == REFUSED:
        return got.partition(" ")[0] not in {code.name for code in REFUSALS}
    if expected == NOTHING:
        return any(each and each in got for each in vars(theirs).values()) or not got.startswith(("OK", "nothing"))
    return not got.startswith("OK") or VICTIM in got


NOT_CARRIED_OUT: Final = {
    # The request before has linked the first identity to the second.
    (f"{PERSON}LinkIdentity", 1): "INVALID_ARGUMENT LINK_CIRCLE",
    # The delivery was not tried yet, or it was sent.
    (f"{OUTBOUND}Resend", 0): "FAILED_PRECONDITION NOT_RESENDABLE",
    # The interaction's channel.
    (f"{OUTBOUND}UploadFile", 0): "FAILED_PRECONDITION CHANNEL_CARRIES_NO_FILES",
    # The message has no files.
    (f"{INGEST}GetFileLink", 0): "NOT_FOUND UNKNOWN_FILE",
    (f"{INGEST}GetFileLink", 1): "NOT_FOUND UNKNOWN_FILE",
    # The interaction was not offered to any agent.
    (f"{AGENTS}Session", 0): "NOT_FOUND UNKNOWN_OFFER",
    (f"{AGENTS}Session", 1): "NOT_FOUND UNKNOWN_OFFER",
    # The agent has no session.
    (f"{ROUTING}Assign", 0): "FAILED_PRECONDITION CONNECTION_LOST",
    # Nothing happens while the caller watches.
    (f"{SLA}WatchEvents", 0): "nothing",
    (f"{FEEDBACK}WatchSurveyResponses", 0): "nothing",
}
"""The owner's result instead of an answer, and its reason, by method and number of the request."""


async def test_the_owner_of_the_ids_is_not_refused_for_the_form_of_the_requests(scene: Scene) -> None:
    """Each request of the walk has this control. Each method has its own customer, so that an erasure affects no other control."""
    stand = scene.stand
    faults = []
    for path, (expected, requests) in REGISTRY.items():
        owned = await plant(stand, RIVAL, f"control {path}") if expected == REFUSED else scene.mine
        # LinkIdentity needs two different identities.
        mine = scene.mine if path == f"{PERSON}LinkIdentity" else owned
        for number, request in enumerate(requests(owned, mine, owned)):
            got = await outcome(stand, path, request)
            wanted = NOT_CARRIED_OUT.get((path, number), "OK")
            if not got.startswith(("OK", wanted)):
                faults.append(f"{path} #{number}: {got[:200]}, not {wanted}")
    assert not faults, "\n".join(faults)


async def test_ids_of_another_tenant_are_refused_at_once_and_change_nothing(scene: Scene) -> None:
    """This holds for existing ids, for ids that can be computed before they exist, and for invented ids."""
    stand = scene.stand
    before, letters = await settled(stand)
    assert before, "the check sees the victim's records"
    assert letters == []
    faults = []
    for path, (expected, requests) in REGISTRY.items():
        for kind, theirs in (
            ("existing", scene.theirs),
            ("computable", computed(VICTIM, "not yet", "m1")),
            ("invented", invented()),
        ):
            for number, request in enumerate(requests(theirs, scene.mine, scene.other)):
                got = await outcome(stand, path, request)
                if wrong(expected, got, theirs):
                    faults.append(f"{path} {kind} #{number}: {got[:200]}")
    assert not faults, "\n".join(faults)
    after, letters = await settled(stand)
    assert letters == []
    assert after == before
    # The victim's customer is still served as before.
    again = ing.SubmitRequest(idempotency_key="m2", native_id="ann", text="are you there?")
    await stand.call(VICTIM, f"{INGEST}Submit", again)

    async def two_messages() -> int:
        found = await stand.call(
            VICTIM, f"{INGEST}GetConversation", ing.GetConversationRequest(conversation_id=scene.theirs.conversation)
        )
        return sum(1 for each in found.messages if each.message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER)

    async with asyncio.timeout(30):
        while await two_messages() < 2:  # noqa: ASYNC110 - history has no signal for a change
            await asyncio.sleep(0.05)
