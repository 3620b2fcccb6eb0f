"""The text of a link that joins identities."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.join_links import claimed, digest_of, link_text

SECRET = bytes(range(16))


@given(st.uuids(), st.binary(min_size=16, max_size=16))
def test_the_text_names_the_identity_and_has_the_secret(identity: uuid.UUID, secret: bytes) -> None:
    """Also as the parameter of a Telegram link, with spaces around it."""
    text = link_text(str(identity), secret)
    assert len(text) == 50
    for sent in (text, f" {text}\n", f"/start {text}", f"/start@shop_bot {text}"):
        assert claimed(sent) == (str(identity), digest_of(secret))


@pytest.mark.parametrize(
    "text", ["", "hello", "chapar-", "/start chapar-x", "my link is chapar-" + "A" * 43, "chapar-" + "A" * 44]
)
def test_other_texts_claim_nothing(text: str) -> None:
    """A sentence around the text is a message for an agent."""
    assert claimed(text) is None


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    """Without an exception, and only a text of the exact form claims something."""
    found = claimed(text)
    assert found is None or "chapar-" in text


def test_an_id_that_is_none_has_no_link() -> None:
    """Ids of identities are UUIDs."""
    with pytest.raises(ValueError, match="UUID"):
        link_text("not an id", SECRET)
