"""The audited calls, and the names in their records."""

from types import SimpleNamespace

import pytest
from google.protobuf.descriptor import MethodDescriptor

from chapar.audit.v1 import audit_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.audit_rules import AuditRule, audit_rule_of, audit_rule_of_descriptor, targets_of

FILES = (audit_pb2, feedback_pb2, ingest_pb2, router_pb2, sla_pb2)
NOT_AUDITED = {
    # A customer's message and survey response are records themselves, with their author.
    "chapar.ingest.v1.IngestService.Submit",
    "chapar.ingest.v1.IngestService.SubmitStream",
    # The file is only stored. The reply that sends it is a record itself, with its author.
    "chapar.ingest.v1.OutboundService.UploadFile",
    # Checks whether ids belong together, and returns no data.
    "chapar.ingest.v1.OutboundService.CheckRecipient",
    "chapar.ingest.v1.OutboundService.ListTemplates",
    # Numbers and states of queues and agents: no person, no conversation.
    "chapar.router.v1.RoutingService.GetQueue",
    "chapar.router.v1.RoutingService.ListQueues",
    "chapar.router.v1.RoutingService.WatchQueues",
    "chapar.router.v1.RoutingService.ListWaiting",
    "chapar.router.v1.RoutingService.EstimateWait",
    "chapar.router.v1.AgentDirectoryService.GetAgent",
    "chapar.router.v1.AgentDirectoryService.ListAgents",
    "chapar.sla.v1.SlaService.GetDeadlines",
    "chapar.sla.v1.SlaService.ListAtRisk",
    "chapar.sla.v1.SlaService.WatchEvents",
    "chapar.sla.v1.SlaService.GetServiceLevel",
    "chapar.sla.v1.SlaService.GetMeasures",
    "chapar.sla.v1.SlaService.GetBacklog",
    "chapar.feedback.v1.FeedbackService.GetScores",
    "chapar.feedback.v1.FeedbackService.GetTrends",
}
METHODS = [
    method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
def test_each_method_is_audited_or_excused(method: MethodDescriptor) -> None:
    """A new method needs an audit option, or a reason in the list above. Its paths lead to fields that exist."""
    rule = audit_rule_of_descriptor(method)
    assert (rule is None) == (method.full_name in NOT_AUDITED)


def test_a_read_names_what_was_returned() -> None:
    """A search is recorded with each conversation and each person on the page."""
    rule = audit_rule_of("/chapar.ingest.v1.IngestService/SearchConversations")
    assert rule is not None
    assert not rule.changes
    answer = ingest_pb2.SearchConversationsResponse(
        conversations=[
            ingest_pb2.ConversationView(conversation_id="c1", person_id="p"),
            ingest_pb2.ConversationView(conversation_id="c2", person_id="p"),
        ]
    )
    found = targets_of(rule, {"request": ingest_pb2.SearchConversationsRequest(), "response": answer})
    assert found == (("conversation", "c1"), ("conversation", "c2"), ("person", "p"))


def test_a_session_is_about_the_calling_agent() -> None:
    """The id comes from the token, not from the request."""
    rule = audit_rule_of("/chapar.router.v1.AgentService/Session")
    assert rule is not None
    caller = SimpleNamespace(agent_id="sara")
    assert targets_of(rule, {"request": None, "caller": caller}) == (("agent", "sara"),)


def test_a_call_about_nothing_named_records_the_kind() -> None:
    """A request with an empty result is recorded too."""
    rule = audit_rule_of("/chapar.ingest.v1.IngestService/SearchConversations")
    assert rule is not None
    roots = {"response": ingest_pb2.SearchConversationsResponse()}
    assert targets_of(rule, roots) == (("conversation", ""), ("person", ""))


def test_no_target_is_left_out() -> None:
    """All targets of a call are named, however many there are; other code splits them into records."""
    rule = audit_rule_of("/chapar.ingest.v1.IngestService/ListInteractions")
    assert isinstance(rule, AuditRule)
    rows = [ingest_pb2.InteractionView(interaction_id=f"i{n}") for n in range(10_000)]
    assert len(targets_of(rule, {"response": ingest_pb2.ListInteractionsResponse(interactions=rows)})) == 10_000 + 1


def test_unknown_methods_have_no_rule() -> None:
    """They are refused elsewhere."""
    assert audit_rule_of("/chapar.nowhere.v1.Service/Method") is None
