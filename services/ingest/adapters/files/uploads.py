"""Receipts of uploaded files: a customer uploads a file first and sends the receipt in a message afterwards.

A receipt is signed and names its owner, so that it can be used only in messages of the customer who uploaded the file.
No replica remembers uploads; a file whose receipt is never sent is deleted by retention.
"""

from collections.abc import Sequence

import msgspec

from services.chassis.clock import Clock
from services.ingest.adapters.files.links import SignedTexts
from services.ingest.domain.files.policy import FileState
from services.ingest.domain.normalise.message import IncomingAttachment
from services.ingest.ports import Kept


class _Receipt(msgspec.Struct, frozen=True, array_like=True):
    """The content of a receipt. Time in seconds since the epoch; size in bytes."""

    expires_s: int
    tenant: str
    owner_id: str
    file_id: str
    name: str
    content_type: str
    size: int
    sha256: str


class UploadReceipts:
    """Makes and reads receipts."""

    def __init__(self, keys: Sequence[bytes], clock: Clock, valid_s: int) -> None:
        self._signed = SignedTexts(keys, b"upload")
        self._clock = clock
        self._valid_s = valid_s

    def receipt(self, kept: Kept) -> str:
        """Return the receipt of a stored file."""
        place = kept.place
        return self._signed.text(
            msgspec.msgpack.encode(
                _Receipt(
                    self._clock() // 1000 + self._valid_s,
                    place.tenant,
                    place.owner_id,
                    place.file_id,
                    kept.name,
                    kept.content_type,
                    kept.size,
                    kept.sha256,
                )
            )
        )

    def read(self, receipt: str, tenant: str, owner_id: str) -> IncomingAttachment | None:
        """Return the file of a receipt; None when it is not ours, not of this owner, or has expired."""
        body = self._signed.body(receipt)
        if body is None:
            return None
        known = msgspec.msgpack.decode(body, type=_Receipt)
        if known.expires_s * 1000 <= self._clock() or (known.tenant, known.owner_id) != (tenant, owner_id):
            return None
        return IncomingAttachment(
            known.content_type,
            known.name,
            known.size,
            state=FileState.STORED,
            file_id=known.file_id,
            owner_id=owner_id,
            sha256=known.sha256,
        )
