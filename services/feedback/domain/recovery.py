"""The closed loop: a bad response opens a recovery interaction, once for each invitation.

The first rule that matches decides. Once decided, nothing changes it: an amended response that has become good does not
withdraw the recovery (a customer who was unhappy a minute ago is still worth a call), and one that has become bad opens
a recovery if none was opened. The decision is kept as long as the invitation's response may change.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from services.policy.model.counting import RecoveryRule
from services.policy.model.surveys import SurveyKind


@dataclass(frozen=True, slots=True)
class Judgement:
    """The content of a response: the survey, the queue that was rated, and each scored question's kind and score,
    the first one first."""

    survey: str
    queue: str
    scores: tuple[tuple[SurveyKind, int], ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A recovery was decided for an invitation. `reported`: ingest has reported that it is open. Forgotten at
    `forget_at_ms`."""

    invitation_id: str
    forget_at_ms: int
    reported: bool = False


def matching(rules: Sequence[RecoveryRule], judged: Judgement) -> tuple[RecoveryRule, int] | None:
    """Return the first rule that matches, and the score that it used; None if no rule matches."""
    for rule in rules:
        if (rule.surveys and judged.survey not in rule.surveys) or (rule.queues and judged.queue not in rule.queues):
            continue
        looked_at = judged.scores[:1] if rule.kind is None else [s for s in judged.scores if s[0] is rule.kind]
        bad = [score for _, score in looked_at if score <= rule.at_most]
        if bad:
            return rule, min(bad)
    return None


class Recoveries:
    """The invitations of one partition that have a recovery."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}
        self._timers: list[tuple[int, str]] = []

    def restore(self, opened: Opened) -> None:
        """Restore an entry from the changelog."""
        self._keep(opened)

    def decide(
        self, invitation_id: str, rules: Sequence[RecoveryRule], judged: Judgement, forget_at_ms: int
    ) -> tuple[RecoveryRule, int, Opened] | None:
        """Decide after a response was counted or amended. Returns the rule, the score and the entry to keep; None if
        there is nothing to open."""
        if invitation_id in self._opened:
            return None
        found = matching(rules, judged)
        if found is None:
            return None
        opened = Opened(invitation_id, forget_at_ms)
        self._keep(opened)
        return (*found, opened)

    def note_opened(self, invitation_id: str) -> Opened | None:
        """Record that ingest has opened the recovery. Returns the entry to keep; None if that was known, or no
        recovery was decided here."""
        known = self._opened.get(invitation_id)
        if known is None or known.reported:
            return None
        opened = Opened(known.invitation_id, known.forget_at_ms, reported=True)
        self._opened[invitation_id] = opened
        return opened

    def forget(self, now_ms: int) -> list[str]:
        """Forget the invitations whose responses can no longer change, and return them."""
        gone: list[str] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, invitation_id = heapq.heappop(self._timers)
            known = self._opened.get(invitation_id)
            if known is not None and known.forget_at_ms == at_ms:
                del self._opened[invitation_id]
                gone.append(invitation_id)
        return gone

    def next_wakeup(self) -> int | None:
        """Return when `forget` should be called next; it may then have nothing to do."""
        return self._timers[0][0] if self._timers else None

    def _keep(self, opened: Opened) -> None:
        self._opened[opened.invitation_id] = opened
        heapq.heappush(self._timers, (opened.forget_at_ms, opened.invitation_id))
