"""Encoding of invitations and persons in the changelog: JSON of the domain's own records.

A field may be added with a default; a stored name never changes its meaning.
"""

import msgspec

from services.feedback.domain.invitations import Invitation
from services.feedback.domain.people import Asked

_INVITATION = b"i/"
_ASKED = b"p/"
_decode_invitation = msgspec.json.Decoder(Invitation).decode
_decode_asked = msgspec.json.Decoder(Asked).decode


def invitation_key(invitation_id: str) -> bytes:
    """Return the changelog's key of an invitation."""
    return _INVITATION + invitation_id.encode("utf-8", "surrogatepass")


def asked_key(tenant: str, person_id: str) -> bytes:
    """Return the changelog's key of a person."""
    return _ASKED + f"{len(tenant)}:{tenant}/{person_id}".encode("utf-8", "surrogatepass")


def encode(kept: Invitation | Asked) -> bytes:
    """Return the stored form."""
    return msgspec.json.encode(kept)


def decode(key: bytes, value: bytes) -> Invitation | Asked:
    """Decode an entry. Raises ValueError for an entry of an unknown kind: state is never guessed."""
    if key.startswith(_INVITATION):
        return _decode_invitation(value)
    if key.startswith(_ASKED):
        return _decode_asked(value)
    raise ValueError("a changelog entry of an unknown kind: was it written by a newer version?")
