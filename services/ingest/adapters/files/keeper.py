"""Keeps the files of a message before the message is published: the provider is answered when both are durable.

The files of one message are written at the same time, a few at once; they keep their order in the message.

A file that is refused stays in the message with the reason, so that the agent sees that it was sent. It never prevents
the message. A store that can't be used does: the provider sends the message again, and each file has the same id again.

A message as it arrived is written while the message is published: messages of one customer keep their order, and a call
waits for the slower of the two and not for both.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.ids import derive
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.at_once import each_at_once
from services.ingest.domain.files.places import FilePlace, Folder, file_id_of
from services.ingest.domain.files.policy import FileRefusal, FileState
from services.ingest.domain.normalise.message import IncomingAttachment, IncomingMessage
from services.ingest.ports import Account, Files
from services.ingest.translate.edges import identity_id_of, message_id_of

_ORIGINAL = -1
"""The ordinal of the message as it arrived."""
_ORIGINALS_AT_ONCE = 32
_FILES_AT_ONCE = 4
"""Each has its bytes and their sealed copy in memory."""


class MessageFiles:
    """Keeps the files of messages."""

    def __init__(self, files: Files, metrics: Metrics) -> None:
        self._files = files
        self._total = metrics.counter("chapar_files_total")
        self._bytes = metrics.counter("chapar_files_bytes_total")

    async def kept(self, account: Account, message: IncomingMessage) -> IncomingMessage:
        """Return the message with its files kept, refused, or ready to be fetched; and with its original named, which
        `keep_originals` writes. Raises UNAVAILABLE."""
        if not message.attachments and message.original is None:
            return message
        owner = identity_id_of(account, message.native_id)
        message_id = message_id_of(owner, message.native_message_id, message.revision)
        verdicts = self._files.policy.of_message(tuple(len(each.content or b"") for each in message.attachments))

        async def kept(numbered: tuple[int, tuple[IncomingAttachment, FileRefusal]]) -> IncomingAttachment:
            ordinal, (file, verdict) = numbered
            return await self._one(account, owner, message_id, ordinal, file, verdict)

        together = enumerate(zip(message.attachments, verdicts, strict=True))
        attachments = await each_at_once(kept, together, _FILES_AT_ONCE)
        original = message.original
        if original is not None and original.content is not None:
            original = _named(original, original.content, owner, message_id)
        return replace(message, attachments=tuple(attachments), original=original)

    async def keep_originals(self, account: Account, messages: Sequence[IncomingMessage]) -> None:
        """Write the originals of messages that `kept` has returned. Raises UNAVAILABLE."""
        waiting = [message.original for message in messages if message.original is not None]
        await each_at_once(lambda original: self._write(account, original), waiting, _ORIGINALS_AT_ONCE)

    async def _write(self, account: Account, original: IncomingAttachment) -> None:
        place = FilePlace(account.tenant, original.owner_id, original.file_id, Folder.ORIGINALS)
        await self._files.keep(place, original.name, original.content or b"", original=original.content_type)
        self._total.labels(account.tenant, account.channel, "stored").inc()
        self._bytes.labels(account.tenant, account.channel).inc(original.size)

    async def _one(
        self,
        account: Account,
        owner: str,
        message_id: str,
        ordinal: int,
        file: IncomingAttachment,
        verdict: FileRefusal,
    ) -> IncomingAttachment:
        if file.content is None:
            if file.state is not FileState.TO_FETCH:
                return file
            self._total.labels(account.tenant, account.channel, "to_fetch").inc()
            return replace(file, file_id=file_id_of(derive, message_id, ordinal, file.reference), owner_id=owner)
        digest = hashlib.sha256(file.content).hexdigest()
        place = FilePlace(account.tenant, owner, file_id_of(derive, message_id, ordinal, digest))
        if verdict is FileRefusal.NONE:
            kept = await self._files.keep(place, file.name, file.content)
            file = replace(
                file, content_type=kept.content_type, name=kept.name, sha256=kept.sha256, refusal=kept.refusal
            )
        else:
            file = replace(file, refusal=verdict)
        file = replace(file, size=len(file.content or b""), content=None, file_id=place.file_id, owner_id=owner)
        if file.refusal is not FileRefusal.NONE:
            self._total.labels(account.tenant, account.channel, file.refusal.name.lower()).inc()
            return replace(file, state=FileState.REFUSED)
        self._total.labels(account.tenant, account.channel, "stored").inc()
        self._bytes.labels(account.tenant, account.channel).inc(file.size)
        return replace(file, state=FileState.STORED)


def _named(original: IncomingAttachment, content: bytes, owner: str, message_id: str) -> IncomingAttachment:
    digest = hashlib.sha256(content).hexdigest()
    return replace(
        original,
        size=len(content),
        file_id=file_id_of(derive, message_id, _ORIGINAL, digest),
        owner_id=owner,
        sha256=digest,
        state=FileState.STORED,
    )
