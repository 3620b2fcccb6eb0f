"""Reads history as the contract's answers.

Every query names the tenant, and queries of conversations name the caller's reach. Data of another tenant, or out of
reach, is reported as if it did not exist.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.records import Record
from services.chassis.keys import tenant_key
from services.ingest.adapters.history import cursor, names, queries
from services.ingest.adapters.history.chat_order import in_order
from services.ingest.adapters.history.delivery_changes import DeliveryChanges
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.file_changes import FileChanges
from services.ingest.adapters.history.mapping_persons import held, identity
from services.ingest.adapters.history.marks import Marks, wanted
from services.ingest.adapters.history.message_files import file_of
from services.ingest.adapters.history.message_template import template_of
from services.ingest.adapters.history.story import LATEST_MS
from services.ingest.adapters.history.text import words
from services.ingest.domain.reach import Reach
from services.ingest.domain.reasons import Reason
from services.ingest.ports import ChatMessage, FoundFile, HeldPreferences, Resendable, SameAddress

_LONGEST_STORY: Final = 5000
_WATCHED: Final = ("conversations.v1", "deliveries.v1")
_WATCH_PAGE: Final = 200
_CHECKED_S: Final = 1.0
_WATCH_S: Final = 0.5
"""A standby replica gets no notification of new rows, so it polls."""


class HistoryReader:
    """Reads history. Raises UNAVAILABLE HISTORY_AWAY while the database can't be reached, EXHAUSTED TENANT_READS when
    the tenant reads too much."""

    def __init__(
        self, reads: FairReads, until_changed: Callable[[float], Awaitable[None]], checked_s: float = _CHECKED_S
    ) -> None:
        """`checked_s`: for how many seconds a check of a caller's reach is valid: a client that reads slowly gets no
        message by an older check."""
        self._rows = reads.rows
        self._until_changed = until_changed
        self._checked_s = checked_s
        self._watched: Counter[bytes] = Counter()

    def watches(self, record: Record) -> bool:
        """Return whether someone watches the conversation of this record: they wait for it."""
        return record.topic in _WATCHED and record.key is not None and record.key in self._watched

    # ---- IngestService

    async def conversation(
        self, reach: Reach, request: ingest_pb2.GetConversationRequest
    ) -> ingest_pb2.GetConversationResponse:
        """Return a conversation and a page of its messages, oldest first. Raises NOT_FOUND, INVALID."""
        size = cursor.size_of(request.page)
        after = cursor.decode("messages", request.page.cursor)
        found = await self._rows(reach.tenant, queries.conversation(reach, request.conversation_id))
        if not found:
            raise _unknown(Reason.UNKNOWN_CONVERSATION, "conversation")
        since = -1 if after is None else after[0]
        rows = await self._rows(reach.tenant, queries.messages(reach.tenant, request.conversation_id, since, size + 1))
        page = rows[:size]
        more = cursor.encode("messages", page[-1].sequence) if len(rows) > size else ""
        return ingest_pb2.GetConversationResponse(
            conversation=(await self._views(reach.tenant, found))[0],
            messages=await self._marked(reach.tenant, request.conversation_id, page),
            page=types_pb2.PageInfo(next_cursor=more),
        )

    async def watch(
        self, reach: Callable[[], Reach], conversation_id: str, after_sequence: int, *, changes: bool = False
    ) -> AsyncIterator[ingest_pb2.MessageView]:
        """Yield messages after a sequence number, then new ones as they are written, in order. `changes`: also a message
        whose delivery or files have changed, again.

        `reach` is called again before each message and at each poll, so that a change of the agent's queues takes
        effect at once. The agent who holds the interaction is looked up again when a client reads a page for longer
        than `checked_s`. Raises NOT_FOUND, also when the conversation leaves the caller's reach because the
        interaction went to another agent or the agent lost the queue.
        """
        at, checked, checked_s = after_sequence, None, 0.0
        seconds = asyncio.get_running_loop().time
        deliveries = DeliveryChanges(self._rows, conversation_id) if changes else None
        files = FileChanges(self._rows, conversation_id) if changes else None
        with self._watching(reach().tenant, conversation_id):
            while True:
                now = reach()
                try:
                    rows = await self._rows(now.tenant, queries.messages(now.tenant, conversation_id, at, _WATCH_PAGE))
                    changed = await deliveries.look(now.tenant, at) if deliveries is not None else ()
                    filed = await files.look(now.tenant, at) if files is not None else ()
                    rows = (*changed, *filed, *rows)
                    if (rows or now != checked) and not await self._rows(
                        now.tenant, queries.conversation(now, conversation_id)
                    ):
                        raise _unknown(Reason.UNKNOWN_CONVERSATION, "conversation")
                    checked, checked_s = now, seconds()
                except ChaparError as error:
                    if checked is None or error.kind is not ErrorKind.EXHAUSTED:
                        raise
                    rows = changed = (
                        filed
                    ) = ()  # the tenant reads too much at the moment: a watch that has begun tries again
                for number, row in enumerate(rows):
                    if reach() != checked or (number and seconds() - checked_s > self._checked_s):
                        break
                    yield _message_view(row)
                    at = max(at, row.sequence)
                    if deliveries is not None and files is not None:
                        deliveries.shown(row)
                        files.shown(row)
                else:
                    if deliveries is not None and files is not None:
                        deliveries.all_shown(changed)
                        files.all_shown(filed)
                if not rows:
                    await self._until_changed(_WATCH_S)

    @contextmanager
    def _watching(self, tenant: str, conversation_id: str) -> Iterator[None]:
        key = tenant_key(tenant, conversation_id)
        self._watched[key] += 1
        try:
            yield
        finally:
            self._watched[key] -= 1
            if not self._watched[key]:
                del self._watched[key]

    async def search(
        self, reach: Reach, request: ingest_pb2.SearchConversationsRequest
    ) -> ingest_pb2.SearchConversationsResponse:
        """Return conversations, newest first. Raises INVALID."""
        size = cursor.size_of(request.page)
        after = cursor.decode("conversations", request.page.cursor)
        terms = queries.Terms(
            person_id=request.person_id,
            channel=request.channel,
            words=words(request.words),
            from_ms=_ms(getattr(request, "from")) if request.HasField("from") else None,
            to_ms=_ms(request.to) if request.HasField("to") else None,
        )
        if request.words.strip() and not terms.words:
            # The whole query was invisible characters: it means nothing, so nothing is found, instead of everything.
            return ingest_pb2.SearchConversationsResponse(page=types_pb2.PageInfo())
        rows = await self._rows(reach.tenant, queries.search(reach, terms, after, size + 1))
        page = rows[:size]
        more = (
            cursor.encode("conversations", page[-1].last_message_at_ms, page[-1].conversation_id)
            if len(rows) > size
            else ""
        )
        return ingest_pb2.SearchConversationsResponse(
            conversations=await self._views(reach.tenant, page), page=types_pb2.PageInfo(next_cursor=more)
        )

    async def interaction(self, reach: Reach, interaction_id: str) -> ingest_pb2.GetInteractionResponse:
        """Return the whole story of the interaction that an id belongs to (`names`). Raises NOT_FOUND."""
        found = await self._rows(reach.tenant, queries.interaction(reach, interaction_id))
        for named in () if found else (names.by_own_id, names.by_native_id):
            ids = {row.interaction_id for row in await self._rows(reach.tenant, named(reach.tenant, interaction_id))}
            if len(ids) == 1:
                found = await self._rows(reach.tenant, queries.interaction(reach, ids.pop()))
                break
        if not found:
            raise _unknown(Reason.UNKNOWN_INTERACTION, "interaction")
        steps = await self._rows(reach.tenant, queries.story(reach.tenant, found[0].interaction_id, _LONGEST_STORY))
        return ingest_pb2.GetInteractionResponse(
            interaction=_interaction_view(found[0]), story=[_story_entry(row) for row in steps]
        )

    async def interactions(
        self, reach: Reach, request: ingest_pb2.ListInteractionsRequest
    ) -> ingest_pb2.ListInteractionsResponse:
        """Return interactions, newest first. Raises INVALID."""
        size = cursor.size_of(request.page)
        after = cursor.decode("interactions", request.page.cursor)
        rows = await self._rows(
            reach.tenant, queries.interactions(reach, request.state, request.queue, request.channel, after, size + 1)
        )
        page = rows[:size]
        more = cursor.encode("interactions", page[-1].opened_at_ms, page[-1].interaction_id) if len(rows) > size else ""
        return ingest_pb2.ListInteractionsResponse(
            interactions=[_interaction_view(row) for row in page], page=types_pb2.PageInfo(next_cursor=more)
        )

    async def file(self, reach: Reach, conversation_id: str, message_id: str, file_id: str) -> FoundFile:
        """Return a file of a message. Raises NOT_FOUND."""
        if not await self._rows(reach.tenant, queries.conversation(reach, conversation_id)):
            raise _unknown(Reason.UNKNOWN_CONVERSATION, "conversation")
        rows = await self._rows(reach.tenant, queries.message(reach.tenant, conversation_id, message_id))
        found = next((each for each in (file_of(_message(row), reach.tenant, file_id) for row in rows) if each), None)
        if found is None:
            raise _unknown(Reason.UNKNOWN_FILE, "file")
        return found

    # ---- ports.Deliveries, ports.People, ports.ChatHistory

    async def delivery(self, tenant: str, delivery_id: str) -> records_pb2.DeliveryRecord | None:
        """Return the newest record of a delivery."""
        for row in await self._rows(tenant, queries.delivery(tenant, delivery_id)):
            return records_pb2.DeliveryRecord(
                delivery_id=row.delivery_id,
                tenant=row.tenant,
                conversation_id=row.conversation_id,
                interaction_id=row.interaction_id,
                channel=row.channel,
                account=row.account,
                state=row.state,
                attempts=row.attempts,
                reason=row.reason,
                native_ids=row.native_ids,
                purpose=row.purpose,
                occurred_at_ms=row.occurred_at_ms,
                event_id=row.event_id,
                retryable=row.retryable,
                source=row.source,
                stated_at_ms=row.stated_at_ms,
                author_kind=row.author_kind,
                author_id=row.author_id,
                invitation_id=row.invitation_id,
                resends_delivery_id=row.resends_delivery_id,
                pool=row.pool,
            )
        return None

    async def resendable(self, reach: Reach, delivery_id: str) -> Resendable | None:
        """Return a delivery with its text; None when it or its conversation is not known to the caller."""
        found = await self.delivery(reach.tenant, delivery_id)
        if found is None or not await self._rows(reach.tenant, queries.conversation(reach, found.conversation_id)):
            return None
        query = queries.message(reach.tenant, found.conversation_id, delivery_id)
        for row in await self._rows(reach.tenant, query):
            files = tuple(records_pb2.Attachment(**each) for each in row.attachments)
            to, cc = tuple(row.to_addresses), tuple(row.cc_addresses)
            return Resendable(found, row.identity_id, row.text, to, cc, files, template_of(row.template))
        return Resendable(found, "", "")

    async def identities(self, tenant: str, person_id: str) -> Sequence[records_pb2.Identity]:
        """Return a person's identities. Of a linked identity that never began a conversation, only id and channel are
        known."""
        if not person_id:
            return ()
        return [identity(tenant, row) for row in await self._rows(tenant, queries.identities(tenant, person_id))]

    async def preferences(self, tenant: str, person_id: str) -> HeldPreferences:
        """Return how a person wants to be reached."""
        return held(person_id, await self._rows(tenant, queries.identities(tenant, person_id)) if person_id else ())

    async def same_addresses(self, tenant: str, person_id: str, most: int) -> Sequence[SameAddress]:
        """Return identities of other persons with the same proven address."""
        rows = await self._rows(tenant, queries.same_addresses(tenant, person_id, most))
        return [SameAddress(identity(tenant, row), row.person_id, row.same_as) for row in rows]

    async def traces(
        self, tenant: str, person_id: str, identity_ids: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the person's identities with those of the given ones that are known; and all their conversations."""
        rows = await self._rows(tenant, queries.identities_of(tenant, person_id, identity_ids))
        known = [row.identity_id for row in rows]
        rows = await self._rows(tenant, queries.conversations_of(tenant, person_id, [*known, *identity_ids]))
        found = [row.conversation_id for row in rows]
        return known, found

    async def owner(self, tenant: str, conversation_id: str) -> str | None:
        """Return the identity that the conversation is with; None when it is not known."""
        rows = await self._rows(tenant, queries.owner(tenant, conversation_id))
        return rows[0].identity_id if rows else None

    async def after(self, tenant: str, conversation_id: str, sequence: int, most: int) -> Sequence[ChatMessage]:
        """Return messages after a sequence number, oldest first, at most `most`."""
        return [
            _chat_message(row)
            for row in await self._rows(tenant, queries.messages(tenant, conversation_id, sequence, most))
        ]

    async def newest(self, tenant: str, identity_id: str, channel: str, most: int) -> Sequence[ChatMessage]:
        """Return the newest messages of all conversations with this identity."""
        rows = await self._rows(tenant, queries.newest_messages(tenant, identity_id, channel, most))
        return in_order([_chat_message(row) for row in rows])

    # ----

    async def _marked(
        self, tenant: str, conversation_id: str, page: Sequence[Row[Any]]
    ) -> list[ingest_pb2.MessageView]:
        """Return the messages of a page, with what other messages of the conversation say about them."""
        if not page:
            return []
        about = wanted(page)
        changes = await self._rows(tenant, queries.changes(tenant, about))
        reactions = await self._rows(tenant, queries.reactions(tenant, conversation_id, about))
        found = Marks([*changes, *reactions])
        return [found.put(_message_view(row)) for row in page]

    async def _views(self, tenant: str, rows: Sequence[Row[Any]]) -> list[ingest_pb2.ConversationView]:
        if not rows:
            return []
        ids: dict[str, list[str]] = {row.conversation_id: [] for row in rows}
        for row in await self._rows(tenant, queries.interactions_of(tenant, list(ids))):
            ids[row.conversation_id].append(row.interaction_id)
        views = []
        for row in rows:
            view = ingest_pb2.ConversationView(
                conversation_id=row.conversation_id,
                person_id=row.person_id,
                identity=identity(tenant, row),
                interaction_ids=ids[row.conversation_id],
            )
            view.opened_at.FromMilliseconds(row.opened_at_ms)
            view.last_message_at.FromMilliseconds(row.last_message_at_ms)
            views.append(view)
        return views


def _ms(time: Timestamp) -> int:
    return min(max(0, time.ToMilliseconds()), LATEST_MS)


def _chat_message(row: Row[Any]) -> ChatMessage:
    return ChatMessage(row.conversation_id, row.identity_id, row.sequence, row.occurred_at_ms, _message(row))


def _message(row: Row[Any]) -> records_pb2.ConversationMessage:
    return records_pb2.ConversationMessage(
        message_id=row.message_id,
        author_kind=row.author_kind,
        author_id=row.author_id,
        interaction_id=row.interaction_id,
        text=row.text,
        subject=row.subject,
        attachments=[records_pb2.Attachment(**each) for each in row.attachments],
        language=row.language,
        channel=row.channel,
        purpose=row.purpose,
        edits_message_id=row.edits_message_id,
        native_message_id=row.native_message_id,
        origin=records_pb2.Origin(**row.origin) if row.origin else None,
        text_parts=[records_pb2.TextPart(kind=kind, length=length) for kind, length in row.text_parts],
        kind=row.kind,
        placeholder=bool(row.placeholder),
        in_reply_to=row.in_reply_to,
        content=row.content,
        deletes_message_id=row.deletes_message_id,
        to=row.to_addresses,
        cc=row.cc_addresses,
        participant=bool(row.participant),
        blocked=bool(row.blocked),
        original=records_pb2.Attachment(**row.original) if row.original else None,
        template=template_of(row.template),
        delivery_state=records_pb2.DeliveryState.ValueType(row.delivery_state or 0),
    )


def _message_view(row: Row[Any]) -> ingest_pb2.MessageView:
    view = ingest_pb2.MessageView(message=_message(row), sequence=row.sequence)
    view.occurred_at.FromMilliseconds(row.occurred_at_ms)
    return view


def _interaction_view(row: Row[Any]) -> ingest_pb2.InteractionView:
    view = ingest_pb2.InteractionView(
        interaction_id=row.interaction_id,
        conversation_id=row.conversation_id,
        person_id=row.person_id,
        channel=row.channel,
        queue=row.queue,
        state=row.state,
        agent_id=row.agent_id,
    )
    view.opened_at.FromMilliseconds(row.opened_at_ms)
    if row.closed_at_ms:
        view.closed_at.FromMilliseconds(row.closed_at_ms)
    return view


def _story_entry(row: Row[Any]) -> ingest_pb2.StoryEntry:
    entry = ingest_pb2.StoryEntry(
        event_id=row.event_id, service=row.service, kind=row.kind, reason=row.reason, details=row.details
    )
    entry.occurred_at.FromMilliseconds(row.occurred_at_ms)
    return entry


def _unknown(reason: str, what: str) -> ChaparError:
    return ChaparError(ErrorKind.NOT_FOUND, reason, f"no such {what} is known to this tenant (yet)")
