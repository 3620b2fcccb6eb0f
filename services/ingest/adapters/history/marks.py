"""What later messages say about a message: an edit, a deletion, a reaction, and which message an answer is about.

A mark is derived when a page is read, from other messages. So it is right whatever the order in which they arrived, and
an erasure removes a reaction with the message that says it. Edits and deletions are found in every conversation,
reactions and answers in the same one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row

from chapar.ingest.v1 import ingest_pb2, records_pb2

MOST: Final = 5_000
"""The maximum number of later messages that are read for one page."""


@dataclass(slots=True)
class _Mark:
    edited_at_ms: int = 0
    deleted_at_ms: int = 0
    reactions: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ids that a page's marks are looked up by: its messages' ids, their native ids, and the native ids of what they
    answer."""

    message_ids: Sequence[str]
    native_ids: Sequence[str]
    answered: Sequence[str]


def wanted(page: Iterable[Row[Any]]) -> Wanted:
    """Return what to look up for these messages."""
    rows = list(page)
    return Wanted(
        [row.message_id for row in rows],
        [row.native_message_id for row in rows if row.native_message_id],
        sorted({row.in_reply_to for row in rows if row.in_reply_to}),
    )


class Marks:
    """The marks of a page's messages. `found`: the messages that `wanted` names, in the order of their sequence."""

    def __init__(self, found: Iterable[Row[Any]]) -> None:
        self._by_id: dict[str, _Mark] = {}
        self._reactions: dict[str, _Mark] = {}
        self._ids: dict[str, str] = {}
        for row in found:
            at = row.occurred_at_ms
            if row.edits_message_id:
                mark = self._by_id.setdefault(row.edits_message_id, _Mark())
                mark.edited_at_ms = max(mark.edited_at_ms, at)
            elif row.deletes_message_id:
                mark = self._by_id.setdefault(row.deletes_message_id, _Mark())
                mark.deleted_at_ms = mark.deleted_at_ms or at
            elif row.kind == records_pb2.MESSAGE_KIND_REACTION:
                if row.in_reply_to:
                    # Each reaction states all that remain of one identity: the newest replaces the earlier ones.
                    self._reactions.setdefault(row.in_reply_to, _Mark()).reactions[row.identity_id] = (row.text, at)
            elif row.native_message_id:
                self._ids.setdefault(row.native_message_id, row.message_id)

    def put(self, view: ingest_pb2.MessageView) -> ingest_pb2.MessageView:
        """Add the marks of its message to a view."""
        message = view.message
        view.in_reply_to_message_id = self._ids.get(message.in_reply_to, "")
        mark = self._by_id.get(message.message_id)
        if mark is not None and mark.edited_at_ms:
            view.edited_at.FromMilliseconds(mark.edited_at_ms)
        if mark is not None and mark.deleted_at_ms:
            view.deleted_at.FromMilliseconds(mark.deleted_at_ms)
        if message.edits_message_id:
            return view  # it has the native id of the message that it edits
        reacted = self._reactions.get(message.native_message_id)
        reactions: Mapping[str, tuple[str, int]] = reacted.reactions if reacted is not None else {}
        for identity_id, (emoji, at) in reactions.items():
            if emoji:
                view.reactions.add(identity_id=identity_id, emoji=emoji).occurred_at.FromMilliseconds(at)
        return view
