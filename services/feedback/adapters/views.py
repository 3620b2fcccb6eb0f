"""The newest responses, kept in memory from the topic: a projection that can be thrown away and read again.

An amended response replaces the one before. Lists show what counts now, at the time of the first response; watchers
receive both. A watcher that is too slow is disconnected; the others never wait for it.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.cursors import decode_cursor, encode_cursor
from services.chassis.errors import ChaparError, ErrorKind
from services.feedback.domain.reasons import Reason
from services.policy.reading.surveys import kind

_WATCH_BUFFER: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class ListedResponse:
    """One response in the order of time; the id breaks ties."""

    occurred_at_ms: int
    event_id: str
    tenant: str = field(compare=False)
    response: pb.ResponseCounted = field(compare=False)


class ResponsesView:
    """The newest responses, and the watchers."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._listed: list[ListedResponse] = []
        self._by_invitation: dict[tuple[str, str], ListedResponse] = {}
        self._watchers: set[_Watcher] = set()

    def take(self, record: pb.FeedbackRecord) -> None:
        """Take one record of feedback.responses.v1; records other than counted and amended responses are skipped."""
        match record.WhichOneof("record"):
            case "answered":
                response, key = record.answered, (record.tenant, record.answered.invitation_id)
            case "amended":
                response, key = record.amended.response, (record.tenant, record.amended.response.invitation_id)
            case "erased":
                self._forget(record.tenant, record.person_id)
                return
            case _:
                return
        known = self._by_invitation.get(key)
        if known is not None and known.response.revision >= response.revision:
            return
        listed = ListedResponse(record.occurred_at_ms, record.event_id, record.tenant, response)
        for watcher in self._watchers:
            watcher.offer(listed)
        if known is None:
            insort(self._listed, listed)
        else:
            listed = ListedResponse(known.occurred_at_ms, known.event_id, record.tenant, response)
            self._listed[bisect_left(self._listed, known)] = listed
        self._by_invitation[key] = listed
        # Removed in blocks: removing one entry from the front of a list moves all the others.
        if len(self._listed) > self._kept + self._kept // 8 + 1:
            dropped = len(self._listed) - self._kept
            for each in self._listed[:dropped]:
                self._by_invitation.pop((each.tenant, each.response.invitation_id), None)
            del self._listed[:dropped]

    def _forget(self, tenant: str, person_id: str) -> None:
        """Remove a person's texts, for an erasure; the scores still count."""
        for listed in self._listed:
            if listed.tenant == tenant and listed.response.subject.person_id == person_id:
                listed.response.comment = ""
                for answer in listed.response.answers:
                    answer.text = ""

    def page(self, tenant: str, wanted: "Wanted", size: int, cursor: str) -> tuple[list[ListedResponse], str]:
        """Return the newest responses first, and the cursor of the next page ("" if there is none). Raises INVALID
        for a cursor that this service did not make."""
        before = _read_cursor(cursor) if cursor else None
        found: list[ListedResponse] = []
        for listed in reversed(self._listed):
            if before is not None and (listed.occurred_at_ms, listed.event_id) >= before:
                continue
            if listed.tenant != tenant or not wanted.matches(listed.response):
                continue
            if len(found) == size:
                return found, _cursor(found[-1])
            found.append(listed)
        return found, ""

    @contextmanager
    def watching(self, tenant: str, wanted: "Wanted") -> Iterator["_Watcher"]:
        """Watch responses from now on."""
        watcher = _Watcher(tenant, wanted)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self, tenant: str, wanted: "Wanted") -> None:
        self._tenant = tenant
        self._wanted = wanted
        self._waiting: asyncio.Queue[ListedResponse] = asyncio.Queue(_WATCH_BUFFER)
        self._lost = False

    def offer(self, listed: ListedResponse) -> None:
        if self._lost or listed.tenant != self._tenant or not self._wanted.matches(listed.response):
            return
        try:
            self._waiting.put_nowait(listed)
        except asyncio.QueueFull:
            self._lost = True

    async def stream(self) -> AsyncIterator[ListedResponse]:
        """Yield responses. Raises EXHAUSTED WATCHER_TOO_SLOW if the reader has fallen behind, after the responses that
        were kept for it."""
        while not (self._lost and self._waiting.empty()):
            yield await self._waiting.get()
        raise ChaparError(
            ErrorKind.EXHAUSTED,
            Reason.WATCHER_TOO_SLOW,
            "responses came faster than they were read: list them, then watch again",
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which responses; empty fields and None match any. `kind` 0: the score of the survey's first question."""

    queue: str = ""
    agent_id: str = ""
    category: str = ""
    score_at_most: int | None = None
    kind: int = 0

    def matches(self, response: pb.ResponseCounted) -> bool:
        """Return whether the response matches. Each of an interaction's agents counts."""
        about = response.subject
        if self.queue and about.queue != self.queue:
            return False
        if self.agent_id and self.agent_id not in (about.agent_id, *about.agent_ids):
            return False
        if self.category and self.category not in response.categories:
            return False
        return self.score_at_most is None or any(score <= self.score_at_most for score in self._scores(response))

    def _scores(self, response: pb.ResponseCounted) -> Iterator[int]:
        # Free text has no score.
        if self.kind in (0, response.kind) and kind(response.kind) is not None:
            yield response.score
        for answer in response.answers:
            if self.kind == answer.kind and kind(answer.kind) is not None:
                yield answer.score


def _cursor(listed: ListedResponse) -> str:
    return encode_cursor("responses", (listed.occurred_at_ms, listed.event_id))


def _read_cursor(cursor: str) -> tuple[int, str]:
    return decode_cursor("responses", cursor, tuple[int, str])
