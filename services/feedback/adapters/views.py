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
from services.feedback.translate.records import kind

_WATCH_BUFFER: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """One response in the order of time; the id breaks ties."""

    occurred_at_ms: int
    event_id: str
    tenant: str = field(compare=False)
    answer: pb.ResponseCounted = field(compare=False)


class ResponsesView:
    """The newest responses, and the watchers."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._answers: list[Told] = []
        self._by_invitation: dict[tuple[str, str], Told] = {}
        self._watchers: set[_Watcher] = set()

    def take(self, record: pb.FeedbackRecord) -> None:
        """Take one record of feedback.responses.v1; records other than counted and amended responses are skipped."""
        match record.WhichOneof("record"):
            case "answered":
                answer, key = record.answered, (record.tenant, record.answered.invitation_id)
            case "amended":
                answer, key = record.amended.answer, (record.tenant, record.amended.answer.invitation_id)
            case "erased":
                self._forget(record.tenant, record.person_id)
                return
            case _:
                return
        known = self._by_invitation.get(key)
        if known is not None and known.answer.revision >= answer.revision:
            return
        told = Told(record.occurred_at_ms, record.event_id, record.tenant, answer)
        for watcher in self._watchers:
            watcher.offer(told)
        if known is None:
            insort(self._answers, told)
        else:
            told = Told(known.occurred_at_ms, known.event_id, record.tenant, answer)
            self._answers[bisect_left(self._answers, known)] = told
        self._by_invitation[key] = told
        # Removed in blocks: removing one entry from the front of a list moves all the others.
        if len(self._answers) > self._kept + self._kept // 8 + 1:
            dropped = len(self._answers) - self._kept
            for each in self._answers[:dropped]:
                self._by_invitation.pop((each.tenant, each.answer.invitation_id), None)
            del self._answers[:dropped]

    def _forget(self, tenant: str, person_id: str) -> None:
        """Remove a person's texts, for an erasure; the scores still count."""
        for told in self._answers:
            if told.tenant == tenant and told.answer.subject.person_id == person_id:
                told.answer.comment = ""
                for response in told.answer.responses:
                    response.text = ""

    def page(self, tenant: str, wanted: "Wanted", size: int, cursor: str) -> tuple[list[Told], str]:
        """Return the newest responses first, and the cursor of the next page ("" if there is none). Raises INVALID
        for a cursor that this service did not make."""
        before = _read_cursor(cursor) if cursor else None
        found: list[Told] = []
        for told in reversed(self._answers):
            if before is not None and (told.occurred_at_ms, told.event_id) >= before:
                continue
            if told.tenant != tenant or not wanted.matches(told.answer):
                continue
            if len(found) == size:
                return found, _cursor(found[-1])
            found.append(told)
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
        self._waiting: asyncio.Queue[Told] = asyncio.Queue(_WATCH_BUFFER)
        self._lost = False

    def offer(self, told: Told) -> None:
        if self._lost or told.tenant != self._tenant or not self._wanted.matches(told.answer):
            return
        try:
            self._waiting.put_nowait(told)
        except asyncio.QueueFull:
            self._lost = True

    async def stream(self) -> AsyncIterator[Told]:
        """Yield responses. Raises EXHAUSTED WATCH_TOO_SLOW if the reader has fallen behind, after the responses that
        were kept for it."""
        while not (self._lost and self._waiting.empty()):
            yield await self._waiting.get()
        raise ChaparError(
            ErrorKind.EXHAUSTED,
            "WATCH_TOO_SLOW",
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

    def matches(self, answer: pb.ResponseCounted) -> bool:
        """Return whether the response matches. Each of an interaction's agents counts."""
        about = answer.subject
        if self.queue and about.queue != self.queue:
            return False
        if self.agent_id and self.agent_id not in (about.agent_id, *about.agent_ids):
            return False
        if self.category and self.category not in answer.categories:
            return False
        return self.score_at_most is None or any(score <= self.score_at_most for score in self._scores(answer))

    def _scores(self, answer: pb.ResponseCounted) -> Iterator[int]:
        # Free text has no score.
        if self.kind in (0, answer.kind) and kind(answer.kind) is not None:
            yield answer.score
        for response in answer.responses:
            if self.kind == response.kind and kind(response.kind) is not None:
                yield response.score


def _cursor(told: Told) -> str:
    return encode_cursor("answers", (told.occurred_at_ms, told.event_id))


def _read_cursor(cursor: str) -> tuple[int, str]:
    return decode_cursor("answers", cursor, tuple[int, str])
