"""The rights of each role: every RPC times every role, against a table reviewed by hand and against docs/rights.md."""

from pathlib import Path

import pytest

from chapar.audit.v1 import audit_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.grpc.auth import Rule, rule_of_descriptor
from services.chassis.grpc.rights import matrix, methods, render_markdown
from services.chassis.tokens.roles import SCOPES, SCOPES_OF, Role, scopes_of

ROOT = Path(__file__).parents[3]
A, S, M, U, Y = Role.AGENT, Role.SUPERVISOR, Role.ADMINISTRATOR, Role.AUDITOR, Role.SYSTEM

# Reviewed by hand: the roles that need the method for their work, and no other. A new method fails here until it is reviewed.
REVIEWED: dict[str, set[Role]] = {
    "chapar.audit.v1.AuditService.ListAudit": {M, U},
    "chapar.feedback.v1.FeedbackService.Invite": {S, M, Y},
    "chapar.feedback.v1.FeedbackService.SubmitSurveyResponse": {Y},
    "chapar.feedback.v1.FeedbackService.GetScores": {S, M, U},
    "chapar.feedback.v1.FeedbackService.GetTrends": {S, M, U},
    "chapar.feedback.v1.FeedbackService.ListSurveyResponses": {S, M, U},
    "chapar.feedback.v1.FeedbackService.WatchSurveyResponses": {S, M, U},
    "chapar.ingest.v1.IngestService.Submit": {Y},
    "chapar.ingest.v1.IngestService.SubmitStream": {Y},
    "chapar.ingest.v1.IngestService.GetConversation": {A, S, M, U},
    "chapar.ingest.v1.IngestService.WatchConversation": {A, S, M, U},
    "chapar.ingest.v1.IngestService.SearchConversations": {A, S, M, U},
    "chapar.ingest.v1.IngestService.GetInteraction": {A, S, M, U},
    "chapar.ingest.v1.IngestService.ListInteractions": {A, S, M, U},
    "chapar.ingest.v1.IngestService.GetFileLink": {A, S, M, U},
    "chapar.ingest.v1.IngestService.OpenFollowUp": {Y},
    "chapar.ingest.v1.OutboundService.Send": {Y},
    "chapar.ingest.v1.OutboundService.Resend": {A, S, M},
    "chapar.ingest.v1.OutboundService.ListTemplates": {A, S, M, U, Y},
    "chapar.ingest.v1.OutboundService.UploadFile": {A, S, M},
    "chapar.ingest.v1.OutboundService.CheckRecipient": {Y},
    "chapar.ingest.v1.OutboundService.GetDelivery": {S, M, U, Y},
    "chapar.ingest.v1.PersonService.GetPerson": {S, M, U},
    "chapar.ingest.v1.PersonService.LinkIdentity": {M},
    "chapar.ingest.v1.PersonService.UnlinkIdentity": {M},
    "chapar.ingest.v1.PersonService.ErasePerson": {M},
    "chapar.ingest.v1.PersonService.SetPreferences": {S, M, Y},
    "chapar.ingest.v1.PersonService.CreateJoinLink": {S, M, Y},
    "chapar.ingest.v1.PersonService.BlockSender": {S, M, Y},
    "chapar.ingest.v1.PersonService.UnblockSender": {S, M, Y},
    "chapar.ingest.v1.PersonService.ListBlocked": {S, M, U},
    "chapar.ingest.v1.PersonService.SuggestIdentities": {S, M, U},
    "chapar.router.v1.AgentService.Session": {A},
    "chapar.router.v1.RoutingService.GetQueue": {A, S, M, U, Y},
    "chapar.router.v1.RoutingService.ListQueues": {A, S, M, U, Y},
    "chapar.router.v1.RoutingService.WatchQueues": {A, S, M, U, Y},
    "chapar.router.v1.RoutingService.ListWaiting": {A, S, M, U, Y},
    "chapar.router.v1.RoutingService.EstimateWait": {A, S, M, U, Y},
    "chapar.router.v1.RoutingService.Reroute": {S, M, Y},
    "chapar.router.v1.RoutingService.Reprioritise": {S, M, Y},
    "chapar.router.v1.RoutingService.Cancel": {S, M},
    "chapar.router.v1.RoutingService.Assign": {S, M},
    "chapar.router.v1.RoutingService.RequestCallback": {S, M},
    "chapar.router.v1.RoutingService.Explain": {A, S, M, U, Y},
    "chapar.router.v1.AgentDirectoryService.UpsertAgent": {M},
    "chapar.router.v1.AgentDirectoryService.GetAgent": {A, S, M, U},
    "chapar.router.v1.AgentDirectoryService.ListAgents": {A, S, M, U},
    "chapar.router.v1.AgentDirectoryService.SetAgentState": {S, M},
    "chapar.sla.v1.SlaService.GetDeadlines": {S, M, U, Y},
    "chapar.sla.v1.SlaService.ListAtRisk": {S, M, U, Y},
    "chapar.sla.v1.SlaService.WatchEvents": {S, M, U, Y},
    "chapar.sla.v1.SlaService.GetServiceLevel": {S, M, U, Y},
    "chapar.sla.v1.SlaService.GetMeasures": {S, M, U, Y},
    "chapar.sla.v1.SlaService.GetBacklog": {S, M, U, Y},
}
READS = ("Get", "List", "Watch", "Search", "Suggest", "Estimate", "Explain")


def test_every_method_and_role_is_as_reviewed() -> None:
    """The methods come from the descriptors; a method that is added, or a rule that changes, must be reviewed."""
    assert {name: set(roles) for name, roles in matrix().items()} == REVIEWED


def test_the_list_of_methods_has_every_contract() -> None:
    """Otherwise the test above would prove nothing."""
    wanted = {
        method.full_name
        for module in (audit_pb2, ingest_pb2, router_pb2, sla_pb2, feedback_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {method.full_name for method in methods()} == wanted


def test_the_page_shows_the_table() -> None:
    """`make docs` generates it."""
    assert (ROOT / "docs/rights.md").read_text() == render_markdown()


def test_an_auditor_changes_nothing_and_reads_everything() -> None:
    """The names of the methods show whether they read."""
    reads = {name for name in REVIEWED if name.rpartition(".")[2].startswith(READS)}
    assert {name for name, roles in matrix().items() if Role.AUDITOR in roles} == reads


def test_scopes_of_contracts_and_roles_are_the_same() -> None:
    """A scope without a role could not be granted, and a scope without a method would have no effect."""
    rules = [rule_of_descriptor(method) for method in methods()]
    asked = frozenset[str]().union(*(rule.scopes | rule.any_of for rule in rules if rule is not None))
    assert asked == SCOPES


@pytest.mark.parametrize("role", Role)
def test_no_two_roles_have_the_same_rights(role: Role) -> None:
    """Each role has a right that some other role lacks, and unknown names add nothing."""
    assert scopes_of([role.value, "root", "", "AGENT "]) == SCOPES_OF[role]
    assert all(SCOPES_OF[role] != SCOPES_OF[other] for other in Role if other is not role)


def test_any_of_needs_one_scope_and_all_of_needs_all() -> None:
    """Both parts of a rule must be satisfied."""
    rule = Rule(frozenset({"a", "b"}), any_of=frozenset({"c", "d"}))
    assert not rule.missing(frozenset({"a", "b", "d"}))
    for held in ({"a", "b"}, {"a", "c"}, {"c", "d"}, set()):
        assert rule.missing(frozenset(held))
