"""Encoding of the entries in feedback's changelogs: the domain's own records, by name.

A field may be added with a default; a stored name never changes its meaning.
"""

from typing import Any, Final

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.feedback.domain.contacts import ContactSeries
from services.feedback.domain.invitations import Invitation
from services.feedback.domain.open_interactions import OpenInteractions
from services.feedback.domain.people import SurveyHistory
from services.feedback.domain.recovery import Opened

_INVITATION = b"i/"
_ASKED = b"p/"
_OPEN = b"u/"
_ENTRIES: Final = ChangelogCodec[Any](Any)
_decode_invitation: Final = ChangelogCodec[Invitation](Invitation).decode
_decode_history: Final = ChangelogCodec[SurveyHistory](SurveyHistory).decode
_decode_open: Final = ChangelogCodec[OpenInteractions](OpenInteractions).decode
decode_series: Final = ChangelogCodec[ContactSeries](ContactSeries).decode
decode_opened: Final = ChangelogCodec[Opened](Opened).decode
decode_agents: Final = ChangelogCodec[tuple[str, ...]](tuple[str, ...]).decode


def invitation_key(invitation_id: str) -> bytes:
    """Return the changelog's key of an invitation."""
    return _INVITATION + invitation_id.encode("utf-8", "surrogatepass")


def history_key(tenant: str, person_id: str) -> bytes:
    """Return the changelog's key of a person."""
    return _ASKED + f"{len(tenant)}:{tenant}/{person_id}".encode("utf-8", "surrogatepass")


def open_key(tenant: str, person_id: str) -> bytes:
    """Return the changelog's key of a person's open interactions."""
    return _OPEN + f"{len(tenant)}:{tenant}/{person_id}".encode("utf-8", "surrogatepass")


def encode(kept: Invitation | SurveyHistory | OpenInteractions | ContactSeries | Opened | tuple[str, ...]) -> bytes:
    """Return the stored form."""
    return _ENTRIES.encode(kept)


def decode(key: bytes, value: bytes) -> Invitation | SurveyHistory | OpenInteractions:
    """Decode an entry. Raises ValueError for an entry of an unknown kind: state is never guessed."""
    if key.startswith(_INVITATION):
        return _decode_invitation(value)
    if key.startswith(_ASKED):
        return _decode_history(value)
    if key.startswith(_OPEN):
        return _decode_open(value)
    raise ValueError("a changelog entry of an unknown kind: was it written by a newer version?")
