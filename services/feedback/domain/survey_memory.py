"""What the survey lane remembers in one partition: invitations, the history of each person, their open interactions, and
when each of these must be looked at again. `domain.invitation_policy` decides.

A method that returns effects has already changed the memory.
"""

import heapq
from collections.abc import Iterator

from services.feedback.domain.invitations import (
    Drop,
    DropHistory,
    DropOpen,
    Effect,
    Invitation,
    KeepHistory,
    KeepOpen,
    Stage,
)
from services.feedback.domain.open_interactions import OpenInteractions
from services.feedback.domain.people import SurveyHistory
from services.policy.model.surveys import Programme

Kept = Invitation | SurveyHistory | OpenInteractions
PersonKey = tuple[str, str]
"""Tenant and person."""


class SurveyMemory:
    """Memory of one partition, without decisions."""

    def __init__(self) -> None:
        self.invitations: dict[str, Invitation] = {}
        self._waiting: dict[PersonKey, set[str]] = {}
        self._held: dict[PersonKey, set[str]] = {}
        self._histories: dict[PersonKey, SurveyHistory] = {}
        self._open: dict[PersonKey, OpenInteractions] = {}
        self._timers: list[tuple[int, str, tuple[str, ...]]] = []
        self._open_timers: set[PersonKey] = set()
        """Persons with a timer for their open interactions. Each has one, however many interactions begin and end."""

    def restore(self, kept: Kept) -> None:
        """Restore an entry from the changelog."""
        match kept:
            case Invitation():
                self.keep(kept)
            case SurveyHistory():
                self._keep_history(kept)
            case OpenInteractions():
                self._set_open(kept)

    def kept(self) -> Iterator[Kept]:
        """Yield everything in memory, as `restore` accepts it."""
        yield from self.invitations.values()
        yield from self._histories.values()
        yield from self._open.values()

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of invitations, of persons with a history, and of persons with an open interaction."""
        return len(self.invitations), len(self._histories), len(self._open)

    # Time

    def next_wakeup(self) -> int | None:
        """Return when the next timer is due; it may then have nothing to do."""
        return self._timers[0][0] if self._timers else None

    def take_due(self, now_ms: int) -> tuple[int, str, tuple[str, ...]] | None:
        """Remove and return the next timer that is due: its time, what it is about, and the key."""
        return heapq.heappop(self._timers) if self._timers and self._timers[0][0] <= now_ms else None

    # Invitations

    def keep(self, invitation: Invitation) -> None:
        """Keep an invitation as it is now, with a timer for its next change by time alone."""
        self.invitations[invitation.invitation_id] = invitation
        heapq.heappush(self._timers, (invitation.wakes_at_ms, "invitation", (invitation.invitation_id,)))
        self._index(self._waiting, invitation, invitation.stage is Stage.WAITING)
        self._index(self._held, invitation, invitation.held and invitation.stage in (Stage.WAITING, Stage.DUE))

    def waiting(self, tenant: str, person_id: str) -> Iterator[Invitation]:
        """Yield the person's invitations that were not sent yet."""
        yield from (self.invitations[each] for each in sorted(self._waiting.get((tenant, person_id), ())))

    def held(self, tenant: str, person_id: str) -> Iterator[Invitation]:
        """Yield the person's invitations that are held back, also those whose reminder is."""
        yield from (self.invitations[each] for each in sorted(self._held.get((tenant, person_id), ())))

    def drop(self, invitation: Invitation) -> Drop:
        """Remove an invitation."""
        del self.invitations[invitation.invitation_id]
        self._index(self._waiting, invitation, present=False)
        self._index(self._held, invitation, present=False)
        return Drop(invitation.invitation_id)

    @staticmethod
    def _index(index: dict[PersonKey, set[str]], invitation: Invitation, present: bool) -> None:
        key = (invitation.tenant, invitation.subject.person_id)
        if present:
            index.setdefault(key, set()).add(invitation.invitation_id)
        elif key in index:
            index[key].discard(invitation.invitation_id)
            if not index[key]:
                del index[key]

    # Persons

    def person(self, tenant: str, person_id: str) -> SurveyHistory:
        """Return the history of a person; an empty one if nothing is remembered."""
        return self._histories.get((tenant, person_id)) or SurveyHistory(tenant, person_id)

    def note(self, history: SurveyHistory, programme: Programme, now_ms: int) -> list[Effect]:
        """Keep what still matters of a person's history; drop the entry if nothing does."""
        history = history.remembered(now_ms, programme.longest_memory_ms, programme.longest_silence_ms)
        if history.forget_at_ms > now_ms:
            if history == self._histories.get(history.key):
                return []
            self._keep_history(history)
            return [KeepHistory(history)]
        return [DropHistory(*history.key)] if self._histories.pop(history.key, None) is not None else []

    def unplan(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        """Forget that an invitation was planned."""
        known = self._histories.get((invitation.tenant, invitation.subject.person_id))
        return [] if known is None else self.note(known.without(invitation.invitation_id), programme, now_ms)

    def forget_history(self, key: PersonKey, at_ms: int) -> list[Effect]:
        """Drop a history whose time is over; a newer one remains."""
        history = self._histories.get(key)
        if history is None or history.forget_at_ms != at_ms:
            return []
        del self._histories[key]
        return [DropHistory(*key)]

    def forget(self, tenant: str, person_id: str) -> list[Effect]:
        """Remove everything about a person."""
        mine = [
            each for each in self.invitations.values() if (each.tenant, each.subject.person_id) == (tenant, person_id)
        ]
        effects: list[Effect] = [self.drop(each) for each in mine]
        if self._histories.pop((tenant, person_id), None) is not None:
            effects.append(DropHistory(tenant, person_id))
        if self._open.pop((tenant, person_id), None) is not None:
            effects.append(DropOpen(tenant, person_id))
        return effects

    def _keep_history(self, history: SurveyHistory) -> None:
        self._histories[history.key] = history
        heapq.heappush(self._timers, (history.forget_at_ms, "asked", history.key))

    # Open interactions

    def open_of(self, tenant: str, person_id: str) -> OpenInteractions:
        """Return the open interactions of a person."""
        return self._open.get((tenant, person_id)) or OpenInteractions(tenant, person_id)

    def set_open(self, entry: OpenInteractions) -> list[Effect]:
        """Replace the open interactions of a person; no effect if nothing changed."""
        if entry == self.open_of(*entry.key):
            return []
        if entry.began:
            self._set_open(entry)
            return [KeepOpen(entry)]
        del self._open[entry.key]
        return [DropOpen(*entry.key)]

    def forget_open(self, key: PersonKey, now_ms: int) -> list[Effect]:
        """Leave out interactions that have been open for too long, when the person's timer is due."""
        self._open_timers.discard(key)
        left = self.open_of(*key).remembered(now_ms)
        effects = self.set_open(left)
        if left.began:
            self._set_open(left)
        return effects

    def _set_open(self, entry: OpenInteractions) -> None:
        self._open[entry.key] = entry
        if entry.key not in self._open_timers:
            self._open_timers.add(entry.key)
            heapq.heappush(self._timers, (entry.forget_at_ms, "open", entry.key))
