"""Two people behind one form mailer, from SMTP through the lanes on a real broker: two persons, each with their own key."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.ingest.edges.conftest import ingest, install, routed
from tests.integration.ingest.edges.test_smtp import SUPPORT, send

pytestmark = pytest.mark.kafka
FORM, PEOPLE = "form@shop.example", ("alice@a.example", "bob@b.example")


def a_form(person: str) -> bytes:
    """A mail as an unsigned form writes it."""
    head = f"From: Shop <{FORM}>\r\nReply-To: {person}\r\nTo: {SUPPORT}\r\nSubject: Contact form\r\n"
    return f"{head}Message-ID: <{person}.form@shop.example>\r\n\r\nI am {person}\r\n".encode()


async def test_each_customer_of_a_form_has_a_lane_of_their_own(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """The lane of the form's address passes each mail on, sealed with the key of the customer."""
    settings = kafka.settings(prefix)
    await install(settings, routed())
    async with ingest(settings, tmp_path, role="all") as edges:
        for person in PEOPLE:
            assert (await send(edges, a_form(person), sender=FORM))[0] == 250
        found = [record.message for record in await edges.inbound(4)]
    theirs = [message for message in found if not message.HasField("answer_to")]
    assert {message.identity.native_id for message in found} - {FORM} == set(PEOPLE)
    assert {message.identity.native_id: message.text.strip() for message in theirs} == {
        person: f"I am {person}" for person in PEOPLE
    }
    assert len({message.message_id for message in found}) == 4
    assert all(message.origin.author == FORM for message in theirs)
