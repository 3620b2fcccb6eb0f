"""First-contact resolution: did the person contact us again on the topic within the window?

The topic is the queue. The time of a contact is the time of the customer's message. The first contact of a person on a
topic begins a series; another contact within the window after the series' newest contact continues it. The series'
first contact was resolved if no contact continued it. The result is reported once: when the interaction of a further
contact has ended (not resolved), or when the window has passed (resolved). Later contacts of a series are not first
contacts and are not counted: they are the repetition that already decided the first one.

An interaction that does not come from the customer (a recovery, spam, automatic mail) is not a contact. Nor is one that
its agent completes as spam, or as no further work ("thank you, you saved my day"). That is known at the end only, so a
contact counts from its end on. One that is still open when the window passes counts.

An interaction that is reported twice, queued again or moved to another queue changes nothing: it belongs to the topic
where it was first seen.
"""

import heapq
from dataclasses import dataclass, replace
from enum import StrEnum
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


class Outcome(StrEnum):
    """How the interaction of a contact ended."""

    OPEN = "open"
    """It began, or was queued again."""
    ENDED = "ended"
    NO_CONTACT = "no contact"
    """As spam, or with no further work: it was not a contact."""


@dataclass(frozen=True, slots=True)
class OpenContact:
    """A further contact whose interaction is open."""

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
    open: tuple[OpenContact, ...] = ()
    """Further contacts that do not count yet, because their interactions have not ended."""

    @property
    def window_ms(self) -> int:
        """The window, as it was at the newest contact."""
        return self.closes_at_ms - self.newest_at_ms

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

    def handle(self, contact: Contact, window_ms: int, outcome: Outcome = Outcome.OPEN) -> list[ContactEffect]:
        """Apply one contact: its beginning, or the end of its interaction."""
        about = contact.subject
        known = self._series.get(self._where.get(about.interaction_id, ("", "", "")))
        if outcome is Outcome.NO_CONTACT or about.never_asked or about.labels.get(RECOVERY_LABEL):
            return [] if known is None else self._leave_out(known, about.interaction_id)
        if known is not None:
            effects = self._again(known, about)
            known = self._series[known.key]
            return [*effects, *(self._count(known, about.interaction_id) if outcome is Outcome.ENDED else [])]
        series = self._series.get((contact.tenant, about.person_id, about.queue))
        effects = []
        while series is not None and contact.at_ms >= series.closes_at_ms:
            effects += self._close(series)  # its timer has not been checked yet
            series = self._series.get(series.key)
        if series is None:
            closes_at_ms = contact.at_ms + window_ms
            series = ContactSeries(
                contact.tenant, about, contact.at_ms, contact.at_ms, closes_at_ms, (about.interaction_id,)
            )
            self._keep(series)
            return [*effects, KeepContactSeries(series)]
        if len(series.open) == _REMEMBERED:
            effects += self._count(series, series.open[0].subject.interaction_id)
            series = self._series[series.key]
        series = replace(series, open=(*series.open, OpenContact(about, contact.at_ms)))
        self._keep(series)
        counted = self._count(series, about.interaction_id, window_ms) if outcome is Outcome.ENDED else []
        return [*effects, *(counted or [KeepContactSeries(series)])]

    def end(self, tenant: str, interaction_id: str) -> list[ContactEffect]:
        """Note that an interaction ended without being completed: the person did contact us."""
        known = self._series.get(self._where.get(interaction_id, ("", "", "")))
        return self._count(known, interaction_id) if known is not None and known.tenant == tenant else []

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
            self._forget(self._series[key])
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

    def _count(self, series: ContactSeries, interaction_id: str, window_ms: int = 0) -> list[ContactEffect]:
        """Count an open contact: from now on, it continues the series."""
        ended = [each for each in series.open if each.subject.interaction_id == interaction_id]
        if not ended:
            return []
        newest_ms = max(series.newest_at_ms, ended[0].at_ms)
        longer = replace(
            series,
            again=True,
            open=tuple(each for each in series.open if each is not ended[0]),
            newest_at_ms=newest_ms,
            closes_at_ms=max(series.closes_at_ms, newest_ms + (window_ms or series.window_ms)),
            interactions=(*series.interactions[1 - _REMEMBERED :], interaction_id),
        )
        self._keep(longer)
        settled: list[ContactEffect] = [] if series.again else [Settled(series, resolved=False)]
        return [*settled, KeepContactSeries(longer)]

    def _leave_out(self, series: ContactSeries, interaction_id: str) -> list[ContactEffect]:
        """Remove a contact that was none: an open one, or the first, whose place the next open one takes."""
        left = tuple(each for each in series.open if each.subject.interaction_id != interaction_id)
        if len(left) < len(series.open):
            self._where.pop(interaction_id, None)
            shorter = replace(series, open=left)
            self._keep(shorter)
            return [KeepContactSeries(shorter)]
        if series.first.interaction_id != interaction_id or series.again:
            return []
        self._forget(series)
        if not left:
            return [DropContactSeries(series.key)]
        first, *further = left
        # The series keeps its topic, where the contacts were first seen.
        begun = replace(
            series,
            first=replace(first.subject, queue=series.first.queue),
            first_at_ms=first.at_ms,
            newest_at_ms=first.at_ms,
            closes_at_ms=first.at_ms + series.window_ms,
            interactions=(first.subject.interaction_id,),
            open=tuple(further),
        )
        self._keep(begun)
        return [KeepContactSeries(begun)]

    def _close(self, series: ContactSeries) -> list[ContactEffect]:
        """End a series whose window has passed; an open contact counts now, and continues it."""
        effects: list[ContactEffect] = []
        while series.open:
            effects += self._count(series, series.open[0].subject.interaction_id)
            series = self._series[series.key]
        if effects:
            return effects  # it has a later end now, and a timer for it
        self._forget(series)
        settled: list[ContactEffect] = [] if series.again else [Settled(series, resolved=True)]
        return [*settled, DropContactSeries(series.key)]

    def _forget(self, series: ContactSeries) -> None:
        del self._series[series.key]
        for interaction_id in _names(series):
            self._where.pop(interaction_id, None)

    def _keep(self, series: ContactSeries) -> None:
        self._series[series.key] = series
        self._where.update(dict.fromkeys(_names(series), series.key))
        heapq.heappush(self._timers, (series.closes_at_ms, series.key))


def _names(series: ContactSeries) -> list[str]:
    return [*series.interactions, *(each.subject.interaction_id for each in series.open)]
