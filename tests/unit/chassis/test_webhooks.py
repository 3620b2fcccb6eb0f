"""Notices to other systems: their signature, and the receivers that configuration refuses."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from chapar.config.v1 import config_pb2
from services.chassis.webhooks import endpoints_of, key_of, problem_of, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_webhook(**fields: object) -> config_pb2.OutgoingWebhook:
    """Return a valid receiver."""
    given_ = {"name": "crm", "url": "https://crm.example/hooks", "secrets": {"signing": "env:CRM"}, **fields}
    return config_pb2.OutgoingWebhook(**given_)  # type: ignore[arg-type] # fields are given by name


def test_the_published_vector() -> None:
    """The test vector of the Standard Webhooks specification."""
    key = key_of(SECRET)
    assert key is not None
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    st.binary(min_size=1, max_size=64),
    st.text("abcdefghij-0123456789", min_size=1),
    st.integers(1, 2**33),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_as_the_reference_library_signs(key: bytes, message_id: str, stamp: int, body: str) -> None:
    """The library of the specification's authors makes the same signature for any input."""
    theirs = Webhook(key).sign(message_id, datetime.fromtimestamp(stamp, UTC), body)
    assert signature(key, message_id, str(stamp), body.encode()) == theirs


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64", "ü"])
def test_an_invalid_secret_makes_no_key(secret: str) -> None:
    """Nothing is signed with an empty or invalid key."""
    assert key_of(secret) is None


def test_a_secret_without_its_prefix_is_accepted() -> None:
    """The prefix only helps people."""
    assert key_of(SECRET.removeprefix("whsec_")) == base64.b64decode(SECRET.removeprefix("whsec_"))


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
        ({"secrets": {"previous": "env:OLD"}}, "has no secret"),
        ({"secrets": {"signing": "env:NEW", "old": "env:OLD"}}, "unknown names, old"),
    ],
)
def test_receivers_that_are_refused(fields: dict[str, object], told: str) -> None:
    """The sentence says how to fix it; plain http is allowed to this machine only."""
    problem = problem_of(a_webhook(**fields))
    assert told in problem
    assert bool(told) == bool(problem)


def test_endpoints_by_name() -> None:
    """The current secret signs first, the previous one while secrets are changed; two receivers with one name are refused."""
    both = a_webhook(secrets={"previous": "env:OLD", "signing": "env:NEW"}, events=["sla.breached"])
    endpoint = endpoints_of([both])["crm"]
    assert endpoint.secrets == ("env:NEW", "env:OLD")
    assert endpoint.events == frozenset({"sla.breached"})
    with pytest.raises(ValueError, match="two webhooks have this name"):
        endpoints_of([both, a_webhook()])
