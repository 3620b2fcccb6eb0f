"""Notices to other systems: their signature and its keys."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from services.policy.model.webhook_keys import key_of
from services.webhooks.delivery import signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


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
