"""Proofs of origin are tested with the providers' published vectors, and with any other text that a header may contain."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from services.ingest.domain.normalise.proof import (
    Unproven,
    hub_signature,
    identifier_hash,
    shared_token,
    standard_webhook,
)
from services.ingest.domain.normalise.webchat import issue_token, visitor_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, STAMP = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = 1614265330.0


def test_the_vector_of_standard_webhooks() -> None:
    """The example of Standard Webhooks is proven, also among other signatures and with a second secret; a changed body is not."""
    assert standard_webhook(ID, STAMP, SIGNATURE, BODY, [SECRET], NOW) is None
    assert standard_webhook(ID, STAMP, f"v1a,x v1,AAAA {SIGNATURE}", BODY, ["whsec_AAAA", SECRET], NOW) is None
    assert standard_webhook(ID, STAMP, SIGNATURE, BODY + b" ", [SECRET], NOW) is not None


@pytest.mark.parametrize(("offset", "good"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_the_window_is_five_minutes_both_ways(offset: int, good: bool) -> None:
    """A replay after more than five minutes is refused, and so is a clock that is more than five minutes ahead."""
    assert (standard_webhook(ID, STAMP, SIGNATURE, BODY, [SECRET], NOW + offset) is None) is good


@given(
    st.binary(max_size=200),
    st.text(min_size=1, max_size=50, alphabet=st.characters(min_codepoint=33, max_codepoint=126)),
)
def test_we_agree_with_the_reference_library(body: bytes, message_id: str) -> None:
    """A body that `standardwebhooks` has signed is proven."""
    from datetime import UTC, datetime

    text = body.decode("latin-1")
    signed = Webhook(SECRET).sign(message_id, datetime.fromtimestamp(NOW, UTC), text)
    assert standard_webhook(message_id, STAMP, signed, text.encode(), [SECRET], NOW) is None


ANY = st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1"))


@given(ANY, ANY, ANY)
def test_hostile_headers_are_a_refusal_never_an_exception(message_id: str, stamp: str, signature: str) -> None:
    """Headers with bad base64, non-ASCII characters or huge numbers give Unproven."""
    assert isinstance(standard_webhook(message_id, stamp, signature, BODY, [SECRET], NOW), Unproven)
    assert isinstance(standard_webhook(ID, stamp, f"v1,{signature}", BODY, [SECRET], NOW), Unproven)
    assert isinstance(hub_signature(signature, BODY, "app"), Unproven)
    assert isinstance(hub_signature("sha256=" + signature, BODY, "app"), Unproven)
    assert isinstance(shared_token(signature, "x" * 301), Unproven)
    assert isinstance(identifier_hash("secret", message_id, signature), Unproven)
    assert visitor_of(signature, "secret", "demo/main", 0, 1e9) is None


def test_hub_signature_covers_the_bytes_as_received() -> None:
    """The signature covers escaped Unicode as it was sent; the same JSON in another notation is not proven."""
    escaped, plain = b'{"text":"\\u0633"}', '{"text":"س"}'.encode()
    header = "sha256=" + hmac.new(b"app", escaped, hashlib.sha256).hexdigest()
    assert hub_signature(header, escaped, "app") is None
    assert hub_signature(header.replace("sha256", "sha1"), escaped, "app") is not None
    assert hub_signature(header, plain, "app") is not None
    assert hub_signature(None, plain, "app") is not None


def test_a_visitors_token_is_for_one_account_and_one_time() -> None:
    """A token of another account, with another secret or a changed visitor, too old, or from the future names no visitor."""
    token = issue_token("s", "demo/main", "visitor-12345", 1000)
    assert visitor_of(token, "s", "demo/main", 1500, 600) == "visitor-12345"
    assert visitor_of(token, "s", "demo/other", 1500, 600) is None
    assert visitor_of(token, "t", "demo/main", 1500, 600) is None
    assert visitor_of(token.replace("12345", "12346"), "s", "demo/main", 1500, 600) is None
    assert visitor_of(token, "s", "demo/main", 1601, 600) is None
    assert visitor_of(token, "s", "demo/main", 100, 600) is None
