"""First-contact resolution: did the person contact us again on the topic within the window?

The topic is the queue. The time of a contact is the time of the customer's message. The first contact of a person on a
topic begins a series; another contact within the window after the series' newest contact continues it. The series'
first contact was resolved if no contact continued it. The result is reported once: when the person comes again (not
resolved), or when the window has passed (resolved). Later contacts of a series are not first contacts and are not
counted: they are the repetition that already decided the first one. An interaction that does not come from the customer
(a recovery, spam, automatic mail) is not a contact.

An interaction that is reported twice, queued again or moved to another queue changes nothing: it belongs to the topic
where it was first seen.
"""

import heapq
from dataclasses import dataclass, replace
from typing import Final

from services.policy.model.surveys import Subject

RECOVERY_LABEL: Final = "recovery"
_REMEMBERED: Final = 8


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer's message that became an interaction. `at_ms`: when the customer wrote."""

    command_id: str
    tenant: str
    subject: Subject
    at_ms: int


@dataclass(frozen=True, slots=True)
class ContactSeries:
    """Contacts of one person on one topic, none further from the next than the window. `interactions`: the newest
    ones."""

    tenant: str
    first: Subject
    first_at_ms: int
    newest_at_ms: int
    closes_at_ms: int
    interactions: tuple[str, ...]
    again: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, person, topic."""
        return (self.tenant, self.first.person_id, self.first.queue)


@dataclass(frozen=True, slots=True)
class Settled:
    """It is known whether the first contact of the series was resolved."""

    series: ContactSeries
    resolved: bool


@dataclass(frozen=True, slots=True)
class KeepContactSeries:
    """Keep the contacts of a person on a topic in the changelog."""

    series: ContactSeries


@dataclass(frozen=True, slots=True)
class DropContactSeries:
    """Remove them from the changelog."""

    key: tuple[str, str, str]


ContactEffect = Settled | KeepContactSeries | DropContactSeries


class Contacts:
    """The series of contacts of one partition."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], ContactSeries] = {}
        self._timers: list[tuple[int, tuple[str, str, str]]] = []
        self._where: dict[str, tuple[str, str, str]] = {}

    def restore(self, series: ContactSeries) -> None:
        """Restore a series from the changelog."""
        self._keep(series)

    def handle(self, contact: Contact, window_ms: int) -> list[ContactEffect]:
        """Apply one contact."""
        about = contact.subject
        if about.never_asked or about.labels.get(RECOVERY_LABEL):
            return []
        known = self._series.get(self._where.get(about.interaction_id, ("", "", "")))
        if known is not None:
            return self._again(known, about)
        series = self._series.get((contact.tenant, about.person_id, about.queue))
        effects: list[ContactEffect] = []
        if series is not None and contact.at_ms >= series.closes_at_ms:
            effects += self._close(series)  # its timer has not been checked yet
            series = None
        if series is None:
            closes_at_ms = contact.at_ms + window_ms
            series = ContactSeries(
                contact.tenant, about, contact.at_ms, contact.at_ms, closes_at_ms, (about.interaction_id,)
            )
        else:
            if not series.again:
                effects.append(Settled(series, resolved=False))
            newest_ms = max(series.newest_at_ms, contact.at_ms)
            series = replace(
                series,
                again=True,
                newest_at_ms=newest_ms,
                closes_at_ms=max(series.closes_at_ms, newest_ms + window_ms),
                interactions=(*series.interactions[1 - _REMEMBERED :], about.interaction_id),
            )
        self._keep(series)
        return [*effects, KeepContactSeries(series)]

    def advance(self, now_ms: int) -> list[ContactEffect]:
        """Settle every series whose window has passed, in order of time."""
        effects: list[ContactEffect] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, key = heapq.heappop(self._timers)
            series = self._series.get(key)
            if series is not None and series.closes_at_ms == at_ms:
                effects += self._close(series)
        return effects

    def forget(self, tenant: str, person_id: str) -> list[ContactEffect]:
        """Remove the person's series, for an erasure."""
        mine = [key for key in self._series if key[:2] == (tenant, person_id)]
        for key in mine:
            for interaction_id in self._series.pop(key).interactions:
                self._where.pop(interaction_id, None)
        return [DropContactSeries(key) for key in mine]

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next; it may then have nothing to do."""
        return self._timers[0][0] if self._timers else None

    def _again(self, series: ContactSeries, about: Subject) -> list[ContactEffect]:
        first = series.first
        if about.interaction_id != first.interaction_id or not about.agent_id or first.agent_id:
            return []
        # The topic stays: it is part of the series' key.
        noted = replace(series, first=replace(about, queue=first.queue))
        self._series[noted.key] = noted
        return [KeepContactSeries(noted)]

    def _close(self, series: ContactSeries) -> list[ContactEffect]:
        del self._series[series.key]
        for interaction_id in series.interactions:
            self._where.pop(interaction_id, None)
        settled: list[ContactEffect] = [] if series.again else [Settled(series, resolved=True)]
        return [*settled, DropContactSeries(series.key)]

    def _keep(self, series: ContactSeries) -> None:
        self._series[series.key] = series
        self._where.update(dict.fromkeys(series.interactions, series.key))
        heapq.heappush(self._timers, (series.closes_at_ms, series.key))
