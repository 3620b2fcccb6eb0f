"""The subject of the invitation by `chapar feedback invite`."""

from typing import Any

import pytest

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.errors import ChaparError
from services.cli.commands.feedback import subject


def an_interaction(**fields: Any) -> ingest_pb2.InteractionView:
    options: dict[str, Any] = {
        "interaction_id": "i",
        "conversation_id": "c",
        "person_id": "p",
        "channel": "email",
        "queue": "billing",
    }
    return ingest_pb2.InteractionView(**{**options, "state": "completed", "agent_id": "sara", **fields})


def a_person(*channels: str) -> ingest_pb2.GetPersonResponse:
    identities = [records_pb2.Identity(identity_id=f"on {channel}", channel=channel) for channel in channels]
    return ingest_pb2.GetPersonResponse(person_id="p", identities=identities)


def test_the_customer_is_invited_on_the_channel_of_the_interaction() -> None:
    """The invitation uses the identity on the interaction's channel; queue and agent are those of its story."""
    about = subject(an_interaction(), a_person("telegram", "email"), "fa")
    assert (about.identity_id, about.person_id, about.conversation_id) == ("on email", "p", "c")
    assert (about.queue, about.agent_id, list(about.agent_ids), about.language) == ("billing", "sara", ["sara"], "fa")


def test_an_open_interaction_or_a_missing_identity_gets_no_invitation() -> None:
    """The interaction is open, or the person has no identity on the channel."""
    with pytest.raises(ChaparError, match="assigned"):
        subject(an_interaction(state="assigned"), a_person("email"), "")
    with pytest.raises(ChaparError, match="no identity"):
        subject(an_interaction(), a_person("telegram"), "")
