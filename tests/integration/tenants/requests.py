"""Requests of every method with ids of a customer."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from chapar.audit.v1 import audit_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2 as fb
from chapar.ingest.v1 import ingest_pb2 as ing
from chapar.ingest.v1 import records_pb2 as ing_records
from chapar.router.v1 import records_pb2 as router_records
from chapar.router.v1 import router_pb2 as rt
from chapar.sla.v1 import sla_pb2
from services.chassis.ids import random_id
from tests.integration.tenants.ids import Ids
from tests.integration.tenants.stand import AGENT, POOL, QUEUE, SURVEY

INGEST, OUTBOUND, PERSON = (
    f"/chapar.ingest.v1.{name}/" for name in ("IngestService", "OutboundService", "PersonService")
)
ROUTING, AGENTS, DIRECTORY = (
    f"/chapar.router.v1.{name}/" for name in ("RoutingService", "AgentService", "AgentDirectoryService")
)
SLA, FEEDBACK = "/chapar.sla.v1.SlaService/", "/chapar.feedback.v1.FeedbackService/"

Requests = Callable[[Ids, Ids, Ids], Sequence[Any]]
"""Requests from the ids of (the other tenant's customer, a customer of mine, another customer of mine). Each has an id of theirs."""
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
        fb.SubmitSurveyResponseRequest(idempotency_key=random_id(), person_id=person, invitation_id=invitation, score=1)
        for person, invitation in pairs
    ]


def _session(theirs: Ids, _mine: Ids, _other: Ids) -> list[Any]:
    """In an order in which an agent can do each. One offer at a time, so that other work leaves the agent room."""
    hello = rt.SessionRequest(
        request_id="h",
        hello=rt.Hello(agent_id=AGENT, pool=POOL, credits=1),
    )
    offer, interaction = f"{theirs.interaction}.1", theirs.interaction
    asks: list[dict[str, Any]] = [
        {"accept": rt.Accept(offer_id=offer)},
        {"decline": rt.Decline(offer_id=offer)},
        {"pick": rt.Pick(interaction_id=interaction)},
        {"reply": rt.Reply(interaction_id=interaction, text="buy ours")},
        {"transfer": rt.Transfer(interaction_id=interaction, queue=QUEUE, warm=True)},
        {"recall": rt.Recall(interaction_id=interaction)},
        {"complete": rt.Complete(interaction_id=interaction)},
        {"end_wrap": rt.EndWrap(interaction_id=interaction)},
    ]
    # A request with a used request id is a repetition, which gets the same answer as the first one.
    return [[hello, rt.SessionRequest(request_id=random_id(), **each)] for each in asks]


def _key() -> dict[str, Any]:
    return {"idempotency_key": random_id(), "pool": POOL}


REGISTRY: Final[dict[str, tuple[str, Requests]]] = {
    # A customer's id is the caller's own name for one of its customers.
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
    f"{INGEST}GetFileLink": (
        REFUSED,
        lambda t, m, o: [
            ing.GetFileLinkRequest(conversation_id=t.conversation, message_id=t.conversation, file_id="file"),
            ing.GetFileLinkRequest(conversation_id=m.conversation, message_id=t.conversation, file_id="file"),
        ],
    ),
    f"{INGEST}GetInteraction": (REFUSED, lambda t, m, o: [ing.GetInteractionRequest(interaction_id=t.interaction)]),
    f"{INGEST}ListInteractions": (NOTHING, lambda t, m, o: [ing.ListInteractionsRequest(queue=QUEUE)]),
    f"{INGEST}OpenFollowUp": (REFUSED, _follow_up),
    f"{OUTBOUND}Send": (REFUSED, _send),
    f"{OUTBOUND}CheckRecipient": (REFUSED, _check),
    f"{OUTBOUND}ListTemplates": (OWN, lambda t, m, o: [ing.ListTemplatesRequest(channel="whatsapp", account="main")]),
    f"{OUTBOUND}Resend": (
        REFUSED,
        lambda t, m, o: [ing.ResendRequest(idempotency_key="again", delivery_id=t.delivery)],
    ),
    f"{OUTBOUND}UploadFile": (
        REFUSED,
        lambda t, m, o: [
            [
                ing.UploadFileRequest(
                    head=ing.UploadHead(idempotency_key="file", interaction_id=t.interaction, name="a.txt")
                )
            ]
        ],
    ),
    f"{OUTBOUND}GetDelivery": (REFUSED, lambda t, m, o: [ing.GetDeliveryRequest(delivery_id=t.delivery)]),
    f"{PERSON}GetPerson": (REFUSED, lambda t, m, o: [ing.GetPersonRequest(person_id=t.person)]),
    f"{PERSON}LinkIdentity": (REFUSED, _link),
    f"{PERSON}UnlinkIdentity": (
        REFUSED,
        lambda t, m, o: [ing.UnlinkIdentityRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}SetPreferences": (
        REFUSED,
        lambda t, m, o: [ing.SetPreferencesRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}CreateJoinLink": (
        REFUSED,
        lambda t, m, o: [ing.CreateJoinLinkRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}BlockSender": (
        REFUSED,
        lambda t, m, o: [ing.BlockSenderRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}UnblockSender": (
        REFUSED,
        lambda t, m, o: [ing.UnblockSenderRequest(idempotency_key=random_id(), identity_id=t.identity)],
    ),
    f"{PERSON}ListBlocked": (NOTHING, lambda t, m, o: [ing.ListBlockedRequest()]),
    f"{PERSON}SuggestIdentities": (REFUSED, lambda t, m, o: [ing.SuggestIdentitiesRequest(person_id=t.person)]),
    f"{PERSON}ErasePerson": (
        REFUSED,
        lambda t, m, o: [ing.ErasePersonRequest(idempotency_key=random_id(), person_id=t.person)],
    ),
    f"{AGENTS}Session": (REFUSED, _session),
    # Pools, queues and agents have names, and each tenant has its own.
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
    # The caller's attempts are in the caller's own audit log.
    "/chapar.audit.v1.AuditService/ListAudit": (
        OWN,
        lambda t, m, o: [audit_pb2.ListAuditRequest(), audit_pb2.ListAuditRequest(target_id=t.person)],
    ),
    f"{FEEDBACK}Invite": (REFUSED, _invite),
    f"{FEEDBACK}SubmitSurveyResponse": (REFUSED, _answer),
    f"{FEEDBACK}GetScores": (NOTHING, lambda t, m, o: [fb.GetScoresRequest()]),
    f"{FEEDBACK}GetTrends": (NOTHING, lambda t, m, o: [fb.GetTrendsRequest()]),
    f"{FEEDBACK}ListSurveyResponses": (NOTHING, lambda t, m, o: [fb.ListSurveyResponsesRequest()]),
    f"{FEEDBACK}WatchSurveyResponses": (NOTHING, lambda t, m, o: [fb.WatchSurveyResponsesRequest()]),
}
