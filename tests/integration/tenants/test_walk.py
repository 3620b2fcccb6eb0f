"""Whatever ids of another tenant a caller names, in whatever method: refused at once, without effect and without a dead letter.

A new method fails `test_every_method_has_an_entry` until it has an entry here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2 as fb
from chapar.ingest.v1 import ingest_pb2 as ing
from chapar.ingest.v1 import records_pb2 as ing_records
from chapar.router.v1 import records_pb2 as router_records
from chapar.router.v1 import router_pb2 as rt
from chapar.sla.v1 import sla_pb2
from services.chassis.ids import derive, random_id
from tests.integration.tenants.stand import AGENT, POOL, QUEUE, RIVAL, SURVEY, VICTIM, Stand, a_stand, methods

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
INGEST, OUTBOUND, PERSON = (
    f"/chapar.ingest.v1.{name}/" for name in ("IngestService", "OutboundService", "PersonService")
)
ROUTING, AGENTS, DIRECTORY = (
    f"/chapar.router.v1.{name}/" for name in ("RoutingService", "AgentService", "AgentDirectoryService")
)
SLA, FEEDBACK = "/chapar.sla.v1.SlaService/", "/chapar.feedback.v1.FeedbackService/"
REFUSALS: Final = frozenset(
    {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
)


@dataclass(frozen=True)
class Ids:
    """What a caller may name."""

    identity: str
    conversation: str
    person: str
    interaction: str
    delivery: str = ""
    invitation: str = ""


def computed(tenant: str, native_id: str, key: str) -> Ids:
    """The ids of a customer's first message, as all callers can compute them."""
    identity = derive(tenant, "grpc", "default", native_id)
    message = derive(identity, key, "0")
    interaction = derive("interaction", message)
    return Ids(
        identity,
        derive("conversation", message),
        derive("person", identity),
        interaction,
        derive(tenant, f"send-{native_id}"),
        derive(tenant, interaction, SURVEY),
    )


def invented() -> Ids:
    return Ids(*(random_id() for _ in range(6)))


Requests = Callable[[Ids, Ids, Ids], Sequence[Any]]
"""Requests by (theirs, mine, mine too): each names something of theirs."""
REFUSED, NOTHING, OWN = "refused", "nothing of theirs", "their name means mine here"


def _send(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    fields: list[dict[str, Any]] = [
        {"identity_id": theirs.identity},
        {"conversation_id": theirs.conversation},
        {"identity_id": theirs.identity, "conversation_id": theirs.conversation},
        {"identity_id": mine.identity, "conversation_id": theirs.conversation},
        {"identity_id": theirs.identity, "conversation_id": mine.conversation},
        {"identity_id": mine.identity, "interaction_id": theirs.interaction},
        {"conversation_id": mine.conversation, "interaction_id": theirs.interaction},
    ]
    return [
        ing.SendRequest(
            idempotency_key=random_id(), text="buy ours", purpose=ing_records.OUTBOUND_PURPOSE_REPLY, **each
        )
        for each in fields
    ]


def _check(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    fields: list[dict[str, Any]] = [
        {"identity_id": theirs.identity},
        {"identity_id": mine.identity, "conversation_id": theirs.conversation},
        {"identity_id": mine.identity, "interaction_id": theirs.interaction},
        {"identity_id": mine.identity, "person_id": theirs.person},
    ]
    return [ing.CheckRecipientRequest(**each) for each in fields]


def _follow_up(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    fields: list[dict[str, Any]] = [
        {"identity_id": theirs.identity},
        {"identity_id": theirs.identity, "conversation_id": theirs.conversation},
        {"identity_id": mine.identity, "conversation_id": theirs.conversation},
    ]
    return [ing.OpenFollowUpRequest(idempotency_key=random_id(), queue=QUEUE, reason="r", **each) for each in fields]


def _link(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    pairs = [(theirs.identity, mine.identity), (mine.identity, theirs.identity)]
    return [
        ing.LinkIdentityRequest(idempotency_key=random_id(), identity_id=one, home_identity_id=home, evidence="e")
        for one, home in pairs
    ]


def _invite(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    names = ("interaction", "conversation", "person", "identity")
    found = []
    for taken in (*((name,) for name in names), names):
        about = {f"{name}_id": getattr(theirs if name in taken else mine, name) for name in names}
        found.append(fb.InviteRequest(idempotency_key=random_id(), survey=SURVEY, subject=fb.Subject(**about)))
    return found


def _answer(theirs: Ids, mine: Ids, _other: Ids) -> list[Any]:
    pairs = [(theirs.person, theirs.invitation), (mine.person, theirs.invitation), (theirs.person, mine.invitation)]
    return [
        fb.SubmitAnswerRequest(idempotency_key=random_id(), person_id=person, invitation_id=invitation, score=1)
        for person, invitation in pairs
    ]


def _session(theirs: Ids, _mine: Ids, _other: Ids) -> list[Any]:
    hello = rt.SessionRequest(request_id="h", hello=rt.Hello(agent_id=AGENT, pool=POOL, credits=0))
    asks = [
        rt.SessionRequest(request_id="x", accept=rt.Accept(offer_id=f"{theirs.interaction}.1")),
        rt.SessionRequest(request_id="x", decline=rt.Decline(offer_id=f"{theirs.interaction}.1")),
        rt.SessionRequest(request_id="x", reply=rt.Reply(interaction_id=theirs.interaction, text="buy ours")),
        rt.SessionRequest(request_id="x", complete=rt.Complete(interaction_id=theirs.interaction)),
        rt.SessionRequest(request_id="x", transfer=rt.Transfer(interaction_id=theirs.interaction, queue=QUEUE)),
        rt.SessionRequest(request_id="x", pick=rt.Pick(interaction_id=theirs.interaction)),
        rt.SessionRequest(request_id="x", end_wrap=rt.EndWrap(interaction_id=theirs.interaction)),
    ]
    return [[hello, each] for each in asks]


def _key() -> dict[str, Any]:
    return {"idempotency_key": random_id(), "pool": POOL}


REGISTRY: Final[dict[str, tuple[str, Requests]]] = {
    # A customer's id is the caller's word for one of the caller's own customers.
    f"{INGEST}Submit": (
        OWN,
        lambda t, m, o: [ing.SubmitRequest(idempotency_key=random_id(), native_id=t.identity, text="hi")],
    ),
    f"{INGEST}SubmitStream": (
        OWN,
        lambda t, m, o: [
            [
                ing.SubmitStreamRequest(
                    message=ing.SubmitRequest(idempotency_key=random_id(), native_id=t.identity, text="hi")
                )
            ]
        ],
    ),
    f"{INGEST}GetConversation": (REFUSED, lambda t, m, o: [ing.GetConversationRequest(conversation_id=t.conversation)]),
    f"{INGEST}WatchConversation": (
        REFUSED,
        lambda t, m, o: [ing.WatchConversationRequest(conversation_id=t.conversation, after_sequence=-1)],
    ),
    f"{INGEST}SearchConversations": (
        NOTHING,
        lambda t, m, o: [
            ing.SearchConversationsRequest(person_id=t.person),
            ing.SearchConversationsRequest(words="secret"),
        ],
    ),
    f"{INGEST}GetInteraction": (REFUSED, lambda t, m, o: [ing.GetInteractionRequest(interaction_id=t.interaction)]),
    f"{INGEST}ListInteractions": (NOTHING, lambda t, m, o: [ing.ListInteractionsRequest(queue=QUEUE)]),
    f"{INGEST}OpenFollowUp": (REFUSED, _follow_up),
    f"{OUTBOUND}Send": (REFUSED, _send),
    f"{OUTBOUND}CheckRecipient": (REFUSED, _check),
    f"{OUTBOUND}GetDelivery": (REFUSED, lambda t, m, o: [ing.GetDeliveryRequest(delivery_id=t.delivery)]),
    f"{PERSON}GetPerson": (REFUSED, lambda t, m, o: [ing.GetPersonRequest(person_id=t.person)]),
    f"{PERSON}LinkIdentity": (REFUSED, _link),
    f"{PERSON}UnlinkIdentity": (
        REFUSED,
        lambda t, m, o: [ing.UnlinkIdentityRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}ErasePerson": (
        REFUSED,
        lambda t, m, o: [ing.ErasePersonRequest(idempotency_key=random_id(), person_id=t.person)],
    ),
    f"{AGENTS}Session": (REFUSED, _session),
    # Pools, queues and agents have names, which each tenant has of its own.
    f"{ROUTING}GetQueue": (OWN, lambda t, m, o: [rt.GetQueueRequest(pool=POOL, queue=QUEUE)]),
    f"{ROUTING}ListQueues": (OWN, lambda t, m, o: [rt.ListQueuesRequest(pool=POOL)]),
    f"{ROUTING}WatchQueues": (OWN, lambda t, m, o: [rt.WatchQueuesRequest(pool=POOL)]),
    f"{ROUTING}ListWaiting": (NOTHING, lambda t, m, o: [rt.ListWaitingRequest(pool=POOL, queue=QUEUE)]),
    f"{ROUTING}EstimateWait": (OWN, lambda t, m, o: [rt.EstimateWaitRequest(pool=POOL, queue=QUEUE)]),
    f"{ROUTING}Reroute": (
        REFUSED,
        lambda t, m, o: [
            rt.RerouteRequest(**_key(), reroute=router_records.Reroute(interaction_id=t.interaction, queue=QUEUE))
        ],
    ),
    f"{ROUTING}Reprioritise": (
        REFUSED,
        lambda t, m, o: [
            rt.ReprioritiseRequest(
                **_key(), reprioritise=router_records.Reprioritise(interaction_id=t.interaction, add=1)
            )
        ],
    ),
    f"{ROUTING}Cancel": (
        REFUSED,
        lambda t, m, o: [
            rt.CancelRequest(**_key(), cancel=router_records.CancelInteraction(interaction_id=t.interaction))
        ],
    ),
    f"{ROUTING}Assign": (
        REFUSED,
        lambda t, m, o: [
            rt.AssignRequest(
                **_key(), assign=router_records.AssignInteraction(interaction_id=t.interaction, agent_id=AGENT)
            )
        ],
    ),
    f"{ROUTING}RequestCallback": (
        REFUSED,
        lambda t, m, o: [
            rt.RequestCallbackRequest(**_key(), callback=router_records.RequestCallback(interaction_id=t.interaction))
        ],
    ),
    f"{ROUTING}Explain": (REFUSED, lambda t, m, o: [rt.ExplainRequest(pool=POOL, interaction_id=t.interaction)]),
    f"{DIRECTORY}UpsertAgent": (
        OWN,
        lambda t, m, o: [
            rt.UpsertAgentRequest(idempotency_key=random_id(), agent=config_pb2.AgentProfile(agent_id=AGENT, pool=POOL))
        ],
    ),
    f"{DIRECTORY}GetAgent": (OWN, lambda t, m, o: [rt.GetAgentRequest(pool=POOL, agent_id=AGENT)]),
    f"{DIRECTORY}ListAgents": (OWN, lambda t, m, o: [rt.ListAgentsRequest(pool=POOL)]),
    f"{DIRECTORY}SetAgentState": (
        OWN,
        lambda t, m, o: [
            rt.SetAgentStateRequest(
                **_key(), set=router_records.SetAgentState(agent_id=AGENT, state=router_records.AGENT_STATE_AWAY)
            )
        ],
    ),
    f"{SLA}GetDeadlines": (REFUSED, lambda t, m, o: [sla_pb2.GetDeadlinesRequest(interaction_id=t.interaction)]),
    f"{SLA}ListAtRisk": (NOTHING, lambda t, m, o: [sla_pb2.ListAtRiskRequest(queue=QUEUE)]),
    f"{SLA}WatchEvents": (NOTHING, lambda t, m, o: [sla_pb2.WatchEventsRequest(queue=QUEUE)]),
    f"{SLA}GetServiceLevel": (NOTHING, lambda t, m, o: [sla_pb2.GetServiceLevelRequest(queue=QUEUE)]),
    f"{SLA}GetMeasures": (NOTHING, lambda t, m, o: [sla_pb2.GetMeasuresRequest(queue=QUEUE)]),
    f"{SLA}GetBacklog": (NOTHING, lambda t, m, o: [sla_pb2.GetBacklogRequest(queue=QUEUE)]),
    # The caller's own attempts are in the caller's own log.
    "/chapar.audit.v1.AuditService/ListAudit": (
        OWN,
        lambda t, m, o: [audit_pb2.ListAuditRequest(), audit_pb2.ListAuditRequest(target_id=t.person)],
    ),
    f"{FEEDBACK}Invite": (REFUSED, _invite),
    f"{FEEDBACK}SubmitAnswer": (REFUSED, _answer),
    f"{FEEDBACK}GetScores": (NOTHING, lambda t, m, o: [fb.GetScoresRequest()]),
    f"{FEEDBACK}GetTrends": (NOTHING, lambda t, m, o: [fb.GetTrendsRequest()]),
    f"{FEEDBACK}ListAnswers": (NOTHING, lambda t, m, o: [fb.ListAnswersRequest()]),
    f"{FEEDBACK}WatchAnswers": (NOTHING, lambda t, m, o: [fb.WatchAnswersRequest()]),
}


def test_every_method_has_an_entry() -> None:
    """In both directions: a method that is gone leaves no entry behind."""
    assert set(REGISTRY) == set(methods())


async def until(attempt: Callable[[], Any], within_s: float = 60) -> Any:
    """What `attempt` gives once it raises no NOT_FOUND any more: history is behind the log."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE):
                    raise
            await asyncio.sleep(0.05)


async def plant(stand: Stand, tenant: str, native_id: str) -> Ids:
    """A customer with a conversation, waiting work, an answer of ours and an invitation."""
    request = ing.SubmitRequest(idempotency_key="m1", native_id=native_id, text="my secret order")
    submitted = await stand.call(tenant, f"{INGEST}Submit", request)
    ids = computed(tenant, native_id, "m1")
    assert submitted.identity_id == ids.identity

    async def known() -> Any:
        await stand.call(tenant, f"{INGEST}GetInteraction", ing.GetInteractionRequest(interaction_id=ids.interaction))
        await stand.call(tenant, f"{PERSON}GetPerson", ing.GetPersonRequest(person_id=ids.person))
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
    """The services, the victim's customer, and two of the rival's."""

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
    """What the rival gets: the code of a refusal, or the answer as text."""
    try:
        if path == f"{AGENTS}Session":
            result = await stand.session(RIVAL, AGENT, request)
            return f"OK {result}" if result.ok else grpc.StatusCode.NOT_FOUND.name
        answer = await stand.call(RIVAL, path, request, within_s=15 if "Watch" not in path else 3)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and "Watch" in path:
            return "nothing"
        return str(error.code().name)
    return f"OK {answer}"


async def of_the_victim(stand: Stand) -> tuple[list[tuple[str, bytes, bytes]], list[bytes]]:
    """(what the log has of the victim, dead letters)."""
    records = await stand.records()
    mark = VICTIM.encode()
    steady = [
        r for r in records if r[0] not in ("routing.journal.v1", "gateway.feed.v1", "router.state.v1", "sla.state.v1")
    ]
    theirs = [r for r in steady if r[1].startswith(mark + b"/") or b"/" + mark + b"/" in r[1]]
    return sorted(theirs), [value for topic, _, value in records if topic == "deadletters.v1"]


async def settled(stand: Stand) -> tuple[list[tuple[str, bytes, bytes]], list[bytes]]:
    """The same, once nothing is under way any more."""
    seen = await of_the_victim(stand)
    async with asyncio.timeout(60):
        while (now := await of_the_victim(stand)) != seen:
            seen = now
    return seen


def wrong(expected: str, got: str, theirs: Ids) -> bool:
    if expected == REFUSED:
        return got not in {code.name for code in REFUSALS}
    if expected == NOTHING:
        return any(each and each in got for each in vars(theirs).values()) or not got.startswith(("OK", "nothing"))
    return not got.startswith("OK") or VICTIM in got


async def test_ids_of_another_tenant_are_refused_at_once_and_change_nothing(scene: Scene) -> None:
    """Existing ones, ones that can be computed before they exist, and invented ones."""
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
    # And the victim's customer is served as ever.
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
