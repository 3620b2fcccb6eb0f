"""What readers ask for, kept in memory from the topics: scores by dimension, and the newest answers.

Both are projections: they may be thrown away and read again. A reader that is too slow to watch is let go, never waited for.
"""

import asyncio
import base64
from bisect import insort
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.chassis.metrics import Metrics
from services.feedback.domain.estimates import measures
from services.feedback.domain.scores import Dimension, Fold, total
from services.feedback.domain.survey import Kind

_WATCH_BUFFER: Final = 1000


class ScoresView:
    """Totals by dimension, from feedback.scores.v1."""

    def __init__(self) -> None:
        self._folds: dict[Dimension, dict[int, Fold]] = {}
        self._groups: dict[tuple[str, Kind, str, str], dict[str, Dimension]] = {}

    def take(self, dimension: Dimension, partition: int, fold: Fold) -> None:
        """One record. An older one than we know is a straggler of a predecessor and ignored."""
        folds = self._folds.setdefault(dimension, {})
        known = folds.get(partition)
        if known is not None and fold.next_offset < known.next_offset:
            return
        folds[partition] = fold
        group = (dimension.tenant, dimension.kind, dimension.name, dimension.day)
        self._groups.setdefault(group, {})[dimension.value] = dimension

    def find(self, tenant: str, kind: Kind, name: str, value: str, day: str) -> list[tuple[Dimension, Fold]]:
        """Totals of a grouping, by value; only one when `value` is given."""
        group = self._groups.get((tenant, kind, name, day), {})
        wanted = sorted(group) if not value else [value] if value in group else []
        return [(group[each], total(self._folds[group[each]].values())) for each in wanted]


class CsatGauges:
    """The newest day's satisfaction by queue, for alerts. Tenants are no label: the tenant with the newest change shows."""

    def __init__(self, metrics: Metrics) -> None:
        self._ratio = metrics.gauge("chapar_feedback_csat_ratio")
        self._answers = metrics.gauge("chapar_feedback_csat_answers")
        self._newest = ""

    def show(self, view: ScoresView, dimension: Dimension) -> None:
        """After a change of this dimension."""
        if dimension.kind is not Kind.CSAT or dimension.name != "queue" or dimension.day < max(self._newest, "1"):
            return
        self._newest = dimension.day
        for _, fold in view.find(dimension.tenant, Kind.CSAT, "queue", dimension.value, dimension.day):
            found = measures(Kind.CSAT, fold.histogram)
            if found:
                self._ratio.labels(dimension.value).set(found["csat"].value)
                self._answers.labels(dimension.value).set(found["csat"].n)


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """One answer in the order of time; the id breaks ties."""

    occurred_at_ms: int
    event_id: str
    tenant: str = field(compare=False)
    answer: pb.AnswerCounted = field(compare=False)


class AnswersView:
    """The newest answers, and those who watch."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._answers: list[Told] = []
        self._ids: set[str] = set()
        self._watchers: set[_Watcher] = set()

    def take(self, record: pb.FeedbackRecord) -> None:
        """One record of feedback.answers.v1; others than counted answers are passed over."""
        if record.WhichOneof("record") != "answered" or record.event_id in self._ids:
            return
        told = Told(record.occurred_at_ms, record.event_id, record.tenant, record.answered)
        self._ids.add(told.event_id)
        insort(self._answers, told)
        # Trimmed in blocks: removing one from the front of a list moves all the others.
        if len(self._answers) > self._kept + self._kept // 8 + 1:
            dropped = len(self._answers) - self._kept
            self._ids.difference_update(each.event_id for each in self._answers[:dropped])
            del self._answers[:dropped]
        for watcher in self._watchers:
            watcher.offer(told)

    def page(self, tenant: str, queue: str, agent_id: str, size: int, cursor: str) -> tuple[list[Told], str]:
        """Newest first, and the cursor of the next page ("" when there is none). Raises INVALID for a cursor that is not ours."""
        before = _read_cursor(cursor) if cursor else None
        found: list[Told] = []
        for told in reversed(self._answers):
            if before is not None and (told.occurred_at_ms, told.event_id) >= before:
                continue
            if told.tenant != tenant or not _matches(told, queue, agent_id):
                continue
            if len(found) == size:
                return found, _cursor(found[-1])
            found.append(told)
        return found, ""

    @contextmanager
    def watching(self, tenant: str, queue: str) -> Iterator["_Watcher"]:
        """Answers from now on."""
        watcher = _Watcher(tenant, queue)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self, tenant: str, queue: str) -> None:
        self._tenant = tenant
        self._queue = queue
        self._waiting: asyncio.Queue[Told] = asyncio.Queue(_WATCH_BUFFER)
        self._lost = False

    def offer(self, told: Told) -> None:
        if self._lost or told.tenant != self._tenant or not _matches(told, self._queue, ""):
            return
        try:
            self._waiting.put_nowait(told)
        except asyncio.QueueFull:
            self._lost = True

    async def stream(self) -> AsyncIterator[Told]:
        """Raises EXHAUSTED WATCH_TOO_SLOW when the reader has fallen behind, after what was kept for it."""
        while not (self._lost and self._waiting.empty()):
            yield await self._waiting.get()
        raise ChaparError(
            ErrorKind.EXHAUSTED,
            "WATCH_TOO_SLOW",
            "answers came faster than they were read: list them, then watch again",
        )


def _matches(told: Told, queue: str, agent_id: str) -> bool:
    about = told.answer.subject
    return (not queue or about.queue == queue) and (not agent_id or about.agent_id == agent_id)


def _cursor(told: Told) -> str:
    return base64.urlsafe_b64encode(f"{told.occurred_at_ms}.{told.event_id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        at_ms, event_id = base64.urlsafe_b64decode(cursor[:512].encode()).decode().split(".", 1)
        return int(at_ms), event_id
    except ValueError as error:
        raise invalid("page.cursor", "is not a cursor of this list", reason="BAD_CURSOR") from error
