"""Signed links to files: `{base}/files/{token}`. They expire, and are made and read by this service only.

A token is the base64url text of a MessagePack array and the first 16 bytes of its HMAC-SHA256. Its keys are derived
from the master keys of personal data under a label, so they are the same in all replicas and are replaced with them. A
link contains ids, no names. The signature is checked before anything else is read.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.chassis.clock import Clock
from services.ingest.domain.files.places import FilePlace, Folder

MAX_TOKEN_CHARS: Final = 2048
PATH: Final = "/files/"
_SIGNATURE: Final = 16
_LABEL: Final = b"chapar file links v1"
# base64url to base64. Characters that no token has become invalid: `binascii` would skip `=` after the last group.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")


class _Ticket(msgspec.Struct, frozen=True, array_like=True):
    """The content of a token. Time in seconds since the epoch."""

    expires_s: int
    folder: str
    tenant: str
    owner_id: str
    file_id: str


def link_key(secret: bytes) -> bytes:
    """Return a key for links alone, derived from a secret that is used for something else."""
    return hmac.digest(secret, _LABEL, hashlib.sha256)


class SignedTexts:
    """Makes texts from bytes and reads them. A purpose cannot read the texts of another one."""

    def __init__(self, keys: Sequence[bytes], purpose: bytes) -> None:
        """`keys`: the first one signs, all are read."""
        self._keys = tuple(hmac.digest(key, purpose, hashlib.sha256) for key in keys)

    def text(self, body: bytes) -> str:
        """Return the text of MessagePack bytes."""
        # The text needs no padding when the number of bytes is divisible by three.
        body += b"\x00" * (-(len(body) + _SIGNATURE) % 3)
        return urlsafe_b64encode(body + _signature(self._keys[0], body)).decode()

    def body(self, text: str) -> bytes | None:
        """Return the bytes of a text, with at most two zeros behind them; None when the text is not ours."""
        if len(text) > MAX_TOKEN_CHARS:
            return None
        try:
            raw = a2b_base64(text.encode("ascii").translate(_TO_BASE64), strict_mode=True)
        except ValueError:
            return None
        body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
        ours = any(hmac.compare_digest(signature, _signature(key, body)) for key in self._keys)
        return body.rstrip(b"\x00") if ours else None


class FileLinks:
    """Makes and reads links."""

    def __init__(self, keys: Sequence[bytes], base_url: Callable[[], str], clock: Clock, valid_s: int) -> None:
        """`keys`: the first one signs, all are read."""
        self._signed = SignedTexts(keys, b"download")
        self._base_url = base_url
        self._clock = clock
        self._valid_s = valid_s

    def url(self, place: FilePlace) -> tuple[str, int]:
        """Return a link, and the time at which it expires, in ms since the epoch."""
        token, expires_ms = self.token(place)
        return f"{self._base_url().rstrip('/')}{PATH}{token}", expires_ms

    def token(self, place: FilePlace) -> tuple[str, int]:
        """Return the last part of a link, and the time at which it expires, in ms since the epoch."""
        expires_s = self._clock() // 1000 + self._valid_s
        body = msgspec.msgpack.encode(_Ticket(expires_s, place.folder, place.tenant, place.owner_id, place.file_id))
        return self._signed.text(body), expires_s * 1000

    def read(self, token: str) -> FilePlace | None:
        """Return the place that a token names; None when it is not ours, or has expired."""
        body = self._signed.body(token)
        if body is None:
            return None
        ticket = msgspec.msgpack.decode(body, type=_Ticket)
        if ticket.expires_s * 1000 <= self._clock():
            return None
        return FilePlace(ticket.tenant, ticket.owner_id, ticket.file_id, Folder(ticket.folder))


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_SIGNATURE]
