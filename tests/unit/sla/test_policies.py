"""Which policy holds for which interaction."""

import pytest

from chapar.config.v1 import config_pb2 as pb
from services.policy.findings import ConfigurationRefused
from services.policy.model.sla import PolicyList, Subject, choose
from services.policy.reading.sla import policies_of
from services.sla.domain.facts import RoutingFactKind
from tests.unit.sla.builders import T0, Watched, a_policy, a_target

TARGETS = [pb.SlaTarget(kind=pb.TARGET_KIND_PICK_UP, adequate_ms=1_000)]


def configured(*policies: pb.SlaPolicy, failed: list[str] | None = None) -> PolicyList:
    """Return policies as the service reads them; each has a pick-up target."""
    for policy in policies:
        policy.targets.extend(TARGETS)
    configuration = pb.TenantConfiguration(tenant="acme", version=1, sla_policies=policies)
    return policies_of(configuration, (failed if failed is not None else []).append)


def chosen(found: PolicyList, subject: Subject) -> str:
    policy = choose(found.policies, subject)
    return policy.plan.policy if policy else ""


@pytest.mark.parametrize(
    ("language", "policy"),
    [("fa", "fa"), ("fa-IR", "fa"), ("FA_ir", "fa"), ("fat", "rest"), ("en", "rest"), ("", "rest")],
)
def test_a_language_covers_its_varieties(language: str, policy: str) -> None:
    found = configured(pb.SlaPolicy(name="fa", languages=["fa"]), pb.SlaPolicy(name="rest"))
    assert chosen(found, Subject(language=language)) == policy


@pytest.mark.parametrize(("priority", "policy"), [(-1, "rest"), (0, "middle"), (10, "middle"), (11, "rest")])
def test_a_range_of_priorities_has_both_its_ends(priority: int, policy: str) -> None:
    """Zero is a bound like any other."""
    found = configured(pb.SlaPolicy(name="middle", priority_at_least=0, priority_at_most=10), pb.SlaPolicy(name="rest"))
    assert chosen(found, Subject(priority=priority)) == policy


def test_a_condition_sees_all_that_is_known() -> None:
    """Queue, channel, language, priority, labels and tier are available; all other conditions of the policy must
    hold too."""
    when = (
        "queue == 'sales' && channel == 'email' && language == 'fa' && priority > 3"
        " && tier == 'gold' && labels['campaign'] == 'nowruz'"
    )
    found = configured(pb.SlaPolicy(name="nowruz", when=when, channels=["email"]))
    labels = (("campaign", "nowruz"), ("tier", "gold"))
    assert chosen(found, Subject("sales", "email", "gold", "fa", 4, labels)) == "nowruz"
    assert chosen(found, Subject("sales", "email", "gold", "fa", 3, labels)) == ""
    assert chosen(found, Subject("sales", "webchat", "gold", "fa", 4, labels)) == ""


def test_a_condition_that_fails_does_not_match_and_is_counted() -> None:
    """The next policy is tried; no error is raised."""
    failed: list[str] = []
    found = configured(
        pb.SlaPolicy(name="missing", when="labels['campaign'] == 'x'"),
        pb.SlaPolicy(name="no verdict", when="queue"),
        pb.SlaPolicy(name="rest"),
        failed=failed,
    )
    assert chosen(found, Subject()) == "rest"
    assert failed == ["missing", "no verdict"]


def test_a_condition_is_evaluated_last() -> None:
    """Conditions by name cost nothing and cannot fail."""
    failed: list[str] = []
    found = configured(pb.SlaPolicy(name="mail", channels=["email"], when="1 / 0 == 1"), failed=failed)
    assert chosen(found, Subject(channel="webchat")) == ""
    assert failed == []


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("queue ==", "`when` of policy `odd` is not valid CEL"),
        ("person.name == 'x'", "uses person; known are channel"),
        ("!" * 50 + "true", "nested deeper"),
    ],
)
def test_a_condition_that_can_never_be_evaluated_is_refused_with_the_configuration(when: str, says: str) -> None:
    with pytest.raises(ConfigurationRefused, match=says):
        configured(pb.SlaPolicy(name="odd", when=when))


def test_names_that_a_comprehension_binds_are_not_variables() -> None:
    found = configured(pb.SlaPolicy(name="any", when="labels.exists(name, name.startsWith('vip'))"))
    assert chosen(found, Subject(labels=(("vip-2", "yes"),))) == "any"


def test_the_policy_is_chosen_by_the_attributes_at_the_first_queueing() -> None:
    """A transfer, another priority and another label change nothing."""
    gold = a_policy(a_target(), name="gold", tiers=["gold"], priority_at_least=5)
    watched = Watched(gold)
    watched.happens(RoutingFactKind.QUEUED, tier="gold", priority=5, labels=(("tier", "gold"),))
    assert watched.happens(RoutingFactKind.MOVED, T0 + 1, queue="other", priority=0) == []
    assert watched.tracked.interactions["i1"].subject.priority == 5
    assert watched.happens(RoutingFactKind.ASSIGNED, T0 + 2) == ["PICK_UP MET DESIRED"]
