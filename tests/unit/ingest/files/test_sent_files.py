"""What each channel carries of files that we send, and how a reply is divided into parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.channel_rules import ChannelRules, channel_rules
from services.ingest.domain.messages import Attachment
from services.ingest.domain.reasons import Reason
from services.ingest.domain.sent_files import (
    MOST_FILES,
    belongs,
    file_rules,
    planned,
    problem_of,
    problem_of_reply,
    upload_id,
    whatsapp_kind,
)

MB = 1 << 20
PDF = "application/pdf"


def a_file(nonce: str = "n", interaction_id: str = "i-1", **changes: object) -> Attachment:
    """A file that an agent uploaded."""
    values: dict[str, object] = {"content_type": PDF, "name": "a.pdf", "size": 7, "reference": ""}
    made = {**values, "file_id": upload_id(interaction_id, "identity-1", nonce), "owner_id": "identity-1", **changes}
    return Attachment(**made)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("channel", "content_type", "size", "reason"),
    [
        ("email", PDF, 18 * MB, ""),
        ("email", PDF, 18 * MB + 1, Reason.FILE_TOO_LARGE_FOR_CHANNEL),
        ("telegram", "video/mp4", 50 * MB, ""),
        ("telegram", "video/mp4", 50 * MB + 1, Reason.FILE_TOO_LARGE_FOR_CHANNEL),
        ("whatsapp", "image/jpeg", 5 * MB, ""),
        ("whatsapp", "image/jpeg", 5 * MB + 1, Reason.FILE_TOO_LARGE_FOR_CHANNEL),
        ("whatsapp", PDF, 100 * MB, ""),
        ("whatsapp", "application/zip", 1, Reason.FILE_TYPE_NOT_SENDABLE),
        ("webchat", "application/zip", 100 * MB, ""),
        ("webhook", "application/zip", 100 * MB, ""),
        ("grpc", PDF, 1, Reason.CHANNEL_CARRIES_NO_FILES),
        ("unknown", PDF, 1, Reason.CHANNEL_CARRIES_NO_FILES),
    ],
)
def test_limits_of_the_channels(channel: str, content_type: str, size: int, reason: str) -> None:
    """Each with its own, which the refusal names."""
    found = problem_of(channel, [(content_type, size)])
    assert (found.reason if found is not None else "") == reason
    assert found is None or channel in found.limit


def test_all_files_of_a_mail_count_together() -> None:
    """Ten small files may be too much for one mail; eleven are too many for every channel."""
    assert problem_of("email", [(PDF, 9 * MB)] * 2) is None
    assert problem_of("email", [(PDF, 9 * MB + 1)] * 2) is not None
    many = problem_of("webchat", [(PDF, 1)] * (MOST_FILES + 1))
    assert many is not None
    assert many.reason == Reason.TOO_MANY_FILES


@pytest.mark.parametrize(
    "file",
    [
        a_file(interaction_id="i-2"),
        a_file(owner_id="identity-2"),
        a_file(file_id="0f1e2d3c-0000-5000-8000-000000000001"),
        a_file(file_id=""),
        a_file(file_id=f".{upload_id('i-1', 'identity-1', '')}"),
    ],
)
def test_a_file_of_another_interaction_is_not_sent(file: Attachment) -> None:
    """An id that a customer's file has, or that was uploaded elsewhere, or for another owner."""
    assert problem_of_reply("webchat", [a_file(), file], "i-1") == Reason.FILE_OF_OTHERS


def test_an_uploaded_file_belongs_to_its_interaction() -> None:
    """And to no other."""
    assert problem_of_reply("webchat", [a_file()], "i-1") == ""
    assert not belongs(a_file(), "i-2")


@pytest.mark.parametrize("channel", ["email", "telegram", "whatsapp", "webchat", "webhook"])
@given(text=st.text(max_size=9_000), count=st.integers(0, 4))
def test_every_file_is_sent_once(channel: str, text: str, count: int) -> None:
    """In order, and texts before them; a channel that carries files one by one has no part with two."""
    files = [a_file(str(number)) for number in range(count)]
    parts = planned(text, files, channel_rules(channel) or ChannelRules(), channel)
    assert [file for part in parts for file in part.files] == files
    assert all(part.text or part.files or not text.strip() for part in parts)
    if file_rules(channel).each_alone:
        assert all(len(part.files) <= 1 and not (part.text and part.files) for part in parts)
    elif files:
        assert len(parts) == 1
    assert parts == planned(text, files, channel_rules(channel) or ChannelRules(), channel)


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [("image/png", "image"), ("audio/ogg", "audio"), ("video/mp4", "video"), (PDF, "document"), ("x", "document")],
)
def test_kinds_of_whatsapp(content_type: str, kind: str) -> None:
    """Everything that is not a picture, a sound or a film is a document."""
    assert whatsapp_kind(content_type) == kind
