"""First-contact resolution: did the person contact us again on the topic within the window?

The topic is the queue. The time of a contact is the time of the customer's message. The first contact of a person on a
topic begins a thread; another contact within the window after the thread's newest contact continues it. The thread's
first contact was resolved if no contact continued it. The result is reported once: when the person comes again (not
resolved), or when the window has passed (resolved). Later contacts of a thread are not first contacts and are not
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
class Thread:
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
    """It is known whether the thread's first contact was resolved."""

    thread: Thread
    resolved: bool


@dataclass(frozen=True, slots=True)
class KeepThread:
    """Keep the contacts of a person on a topic in the changelog."""

    thread: Thread


@dataclass(frozen=True, slots=True)
class DropThread:
    """Remove them from the changelog."""

    key: tuple[str, str, str]


ContactEffect = Settled | KeepThread | DropThread


class Contacts:
    """The threads of one partition."""

    def __init__(self) -> None:
        self._threads: dict[tuple[str, str, str], Thread] = {}
        self._timers: list[tuple[int, tuple[str, str, str]]] = []
        self._where: dict[str, tuple[str, str, str]] = {}

    def restore(self, thread: Thread) -> None:
        """Restore a thread from the changelog."""
        self._keep(thread)

    def handle(self, contact: Contact, window_ms: int) -> list[ContactEffect]:
        """Apply one contact."""
        about = contact.subject
        if about.never_asked or about.labels.get(RECOVERY_LABEL):
            return []
        known = self._threads.get(self._where.get(about.interaction_id, ("", "", "")))
        if known is not None:
            return self._again(known, about)
        thread = self._threads.get((contact.tenant, about.person_id, about.queue))
        effects: list[ContactEffect] = []
        if thread is not None and contact.at_ms >= thread.closes_at_ms:
            effects += self._close(thread)  # its timer has not been checked yet
            thread = None
        if thread is None:
            closes_at_ms = contact.at_ms + window_ms
            thread = Thread(contact.tenant, about, contact.at_ms, contact.at_ms, closes_at_ms, (about.interaction_id,))
        else:
            if not thread.again:
                effects.append(Settled(thread, resolved=False))
            newest_ms = max(thread.newest_at_ms, contact.at_ms)
            thread = replace(
                thread,
                again=True,
                newest_at_ms=newest_ms,
                closes_at_ms=max(thread.closes_at_ms, newest_ms + window_ms),
                interactions=(*thread.interactions[1 - _REMEMBERED :], about.interaction_id),
            )
        self._keep(thread)
        return [*effects, KeepThread(thread)]

    def advance(self, now_ms: int) -> list[ContactEffect]:
        """Settle every thread whose window has passed, in order of time."""
        effects: list[ContactEffect] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, key = heapq.heappop(self._timers)
            thread = self._threads.get(key)
            if thread is not None and thread.closes_at_ms == at_ms:
                effects += self._close(thread)
        return effects

    def forget(self, tenant: str, person_id: str) -> list[ContactEffect]:
        """Remove the person's threads, for an erasure."""
        mine = [key for key in self._threads if key[:2] == (tenant, person_id)]
        for key in mine:
            for interaction_id in self._threads.pop(key).interactions:
                self._where.pop(interaction_id, None)
        return [DropThread(key) for key in mine]

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next; it may then have nothing to do."""
        return self._timers[0][0] if self._timers else None

    def _again(self, thread: Thread, about: Subject) -> list[ContactEffect]:
        first = thread.first
        if about.interaction_id != first.interaction_id or not about.agent_id or first.agent_id:
            return []
        # The topic stays: it is part of the thread's key.
        noted = replace(thread, first=replace(about, queue=first.queue))
        self._threads[noted.key] = noted
        return [KeepThread(noted)]

    def _close(self, thread: Thread) -> list[ContactEffect]:
        del self._threads[thread.key]
        for interaction_id in thread.interactions:
            self._where.pop(interaction_id, None)
        settled: list[ContactEffect] = [] if thread.again else [Settled(thread, resolved=True)]
        return [*settled, DropThread(thread.key)]

    def _keep(self, thread: Thread) -> None:
        self._threads[thread.key] = thread
        self._where.update(dict.fromkeys(thread.interactions, thread.key))
        heapq.heappush(self._timers, (thread.closes_at_ms, thread.key))
