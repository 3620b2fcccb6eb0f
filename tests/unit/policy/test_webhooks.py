"""Receivers of webhooks: those that can be used, and those that are refused."""

import pytest

from chapar.config.v1.config_pb2 import OutgoingWebhook, TenantConfiguration
from services.chassis.destinations import DEVELOPMENT
from services.policy.findings import Findings
from services.policy.lint.review import Review
from services.policy.lint.webhooks import webhooks
from services.policy.reading.webhooks import read_webhooks


def a_webhook(**fields: object) -> OutgoingWebhook:
    """Return a valid receiver."""
    given_ = {
        "name": "crm",
        "url": "https://crm.example/hooks",
        "secrets": {"signing": "env:CHAPAR_SECRET_SHOP__CRM"},
        **fields,
    }
    return OutgoingWebhook(**given_)  # type: ignore[arg-type] # fields are given by name


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ""),
        ({"url": "http://127.0.0.1:8080/hook"}, ""),
        ({"url": "http://[::1]/hook"}, ""),
        ({"url": "http://localhost/hook"}, ""),
        ({"name": ""}, "no name"),
        ({"url": ""}, "must be https"),
        ({"url": "ftp://crm.example"}, "must be https"),
        ({"url": "https://"}, "must be https"),
        ({"url": "https://crm.example:port/"}, "cannot be read"),
        ({"url": "http://crm.example/"}, "must begin with https"),
        ({"url": "http://10.0.0.1/"}, "must begin with https"),
        ({"url": "http://127.0.0.1.crm.example/"}, "must begin with https"),
        ({"url": "https://user:word@crm.example/"}, "password in its url"),
        ({"secrets": {}}, "has no secret"),
        ({"secrets": {"previous": "env:CHAPAR_SECRET_SHOP__OLD"}}, "has no secret"),
        (
            {"secrets": {"signing": "env:CHAPAR_SECRET_SHOP__NEW", "old": "env:CHAPAR_SECRET_SHOP__OLD"}},
            "unknown names, old",
        ),
    ],
)
def test_receivers_that_are_refused(fields: dict[str, object], told: str) -> None:
    """The sentence says how to fix it; plain http is allowed to this machine only."""
    review = Review(
        TenantConfiguration(tenant="shop", webhooks=[a_webhook(**fields)]), "2026-01-01", destinations=DEVELOPMENT
    )
    webhooks(review)
    problems = [finding.message for finding in review.findings.errors]
    assert any(told in problem for problem in problems) if told else problems == []


def test_endpoints_by_name() -> None:
    """The current secret signs first, the previous one while secrets are changed; of two receivers with one name, the second is refused."""
    both = a_webhook(
        secrets={"previous": "env:CHAPAR_SECRET_SHOP__OLD", "signing": "env:CHAPAR_SECRET_SHOP__NEW"},
        events=["sla.breached"],
    )
    findings = Findings()
    endpoint = read_webhooks(TenantConfiguration(webhooks=[both, a_webhook()]), findings)["crm"]
    assert endpoint.secrets == ("env:CHAPAR_SECRET_SHOP__NEW", "env:CHAPAR_SECRET_SHOP__OLD")
    assert endpoint.events == frozenset({"sla.breached"})
    assert [(finding.code, finding.path) for finding in findings.found] == [("DUPLICATE", ("webhooks", 1))]
