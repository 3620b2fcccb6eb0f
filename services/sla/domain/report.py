"""Sums of counts for a query: a range of time, by queue, channel, hour or day.

A count belongs to the half hour in which it was made, and is in a range if that half hour begins in it. Counts that are
kept by whole days of UTC are in a range if their day begins in it, and belong to the day (of the zone asked for) in
which their noon lies.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.policy.model.sla import Target
from services.sla.domain.flow import Contact, Flow, FlowKey, repeats
from services.sla.domain.measures import DAY_MS, SLOT_MS, WHOLE_DAY, Tally, TallyKey
from services.sla.domain.story import Story

Group = tuple[int, str, str]
"""Beginning of the period (0 without hours or days), queue, channel; fields that are not asked for are empty."""
AGES_MS = (0, 5 * 60_000, 15 * 60_000, 3_600_000, 4 * 3_600_000, DAY_MS, 3 * DAY_MS, 7 * DAY_MS)
"""Where the age groups of a backlog begin, in milliseconds."""


@dataclass(frozen=True, slots=True)
class MeasuresQuery:
    """A query. `period` returns the beginning of the hour or day in which an instant lies; None asks for neither."""

    since_ms: int
    until_ms: int
    queue: str = ""
    channel: str = ""
    by_queue: bool = False
    by_channel: bool = False
    period: Callable[[int], int] | None = None

    def group(self, day: int, slot: int, queue: str, channel: str) -> Group | None:
        """Return the group of a count; None if it is not asked for."""
        begins = day * DAY_MS + (0 if slot == WHOLE_DAY else slot * SLOT_MS)
        return self.group_at(begins, begins + DAY_MS // 2 if slot == WHOLE_DAY else begins, queue, channel)

    def group_at(self, begins_ms: int, represents_ms: int, queue: str, channel: str) -> Group | None:
        """As `group`, for a count that began at one instant and is shown under another."""
        if not self.since_ms <= begins_ms < self.until_ms:
            return None
        if (self.queue and self.queue != queue) or (self.channel and self.channel != channel):
            return None
        return (
            self.period(represents_ms) if self.period is not None else 0,
            queue if self.by_queue else "",
            channel if self.by_channel else "",
        )


@dataclass(slots=True)
class Row:
    """All measures of one group."""

    flow: Flow = field(default_factory=Flow)
    tallies: dict[Target, Tally] = field(default_factory=dict)
    contacts: int = 0
    """Number of contacts for which it is known whether they were the first."""
    again: int = 0


def kept(
    query: MeasuresQuery, tallies: Iterable[tuple[TallyKey, Tally]], target: Target | None = None
) -> dict[Group, Row]:
    """Return how targets were kept, by group; only of `target` if it is given."""
    rows: dict[Group, Row] = {}
    for key, tally in tallies:
        if target is not None and key.target is not target:
            continue
        group = query.group(key.day, key.slot, key.queue, key.channel)
        if group is not None:
            row = rows.setdefault(group, Row())
            row.tallies.setdefault(key.target, Tally()).add(tally)
    return rows


def measured(
    query: MeasuresQuery,
    tallies: Iterable[tuple[TallyKey, Tally]],
    flows: Iterable[tuple[FlowKey, Flow]],
    contacts: Iterable[Contact],
    window_ms: int,
    covered_since_ms: int,
) -> dict[Group, Row]:
    """Return all measures, by group. `covered_since_ms`: from here on, all contacts and their possible predecessors
    are known."""
    rows = kept(query, tallies)
    for key, flow in flows:
        group = query.group(key.day, key.slot, key.queue, key.channel)
        if group is not None:
            rows.setdefault(group, Row()).flow.add(flow)
    contacts = list(contacts)
    until_ms = -(-query.until_ms // SLOT_MS) * SLOT_MS
    again = repeats(contacts, max(query.since_ms, covered_since_ms), until_ms, window_ms)
    for contact in contacts:
        if contact.interaction_id not in again:
            continue
        begins = contact.at_ms // SLOT_MS * SLOT_MS
        group = query.group_at(begins, begins, contact.queue, contact.channel)
        if group is not None:
            row = rows.setdefault(group, Row())
            row.contacts += 1
            row.again += again[contact.interaction_id]
    return rows


@dataclass(slots=True)
class Backlog:
    """Open interactions of one queue and channel."""

    open: int = 0
    waiting: int = 0
    unanswered: int = 0
    oldest_ms: int = 0
    ages: list[list[int]] = field(default_factory=lambda: [[0, 0] for _ in AGES_MS])
    """By AGES_MS: number open, number unanswered."""


def backlog(stories: Iterable[Story], now_ms: int) -> dict[tuple[str, str], Backlog]:
    """Return the open interactions by queue and channel."""
    found: dict[tuple[str, str], Backlog] = {}
    for story in stories:
        if story.closed_ms:
            continue
        row = found.setdefault((story.queue, story.channel), Backlog())
        age = now_ms - story.arrived_ms
        place = max((at for at, least in enumerate(AGES_MS) if age >= least), default=0)
        unanswered = bool(story.awaiting_ms)
        row.open += 1
        row.waiting += not story.held
        row.unanswered += unanswered
        row.oldest_ms = min(row.oldest_ms or story.arrived_ms, story.arrived_ms)
        row.ages[place][0] += 1
        row.ages[place][1] += unanswered
    return found
