"""The closed loop: a bad answer opens a recovery interaction, once for each invitation.

The first rule that matches decides. Once it is decided nothing changes it: an amended answer that has become good does not take the recovery back
(a customer who was unhappy a minute ago is still worth a call), one that has become bad opens it if none was opened. The decision is kept as long
as the invitation's answer may change.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from services.feedback.domain.survey import Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """A tenant's rule. Empty sets match everything; `kind` None is the survey's first question. `requirements` are opaque here."""

    name: str
    at_most: int
    queue: str
    surveys: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    kind: Kind | None = None
    priority: int = 0
    requirements: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer said: the survey, the queue that was judged, and each scored question's kind and score, the first one first."""

    survey: str
    queue: str
    scores: tuple[tuple[Kind, int], ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A recovery was decided for an invitation. `told`: ingest has opened it. Forgotten at `forget_at_ms`."""

    invitation_id: str
    forget_at_ms: int
    told: bool = False


def matching(rules: Sequence[Rule], judged: Judgement) -> tuple[Rule, int] | None:
    """The first rule that matches, and the score that it looked at."""
    for rule in rules:
        if (rule.surveys and judged.survey not in rule.surveys) or (rule.queues and judged.queue not in rule.queues):
            continue
        looked_at = judged.scores[:1] if rule.kind is None else [s for s in judged.scores if s[0] is rule.kind]
        bad = [score for _, score in looked_at if score <= rule.at_most]
        if bad:
            return rule, min(bad)
    return None


class Recoveries:
    """Which invitations of one partition have theirs."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}
        self._timers: list[tuple[int, str]] = []

    def restore(self, opened: Opened) -> None:
        """Takes back what was kept."""
        self._keep(opened)

    def decide(
        self, invitation_id: str, rules: Sequence[Rule], judged: Judgement, forget_at_ms: int
    ) -> tuple[Rule, int, Opened] | None:
        """After an answer was counted or amended: the rule, the score and what to keep; None when there is nothing to open."""
        if invitation_id in self._opened:
            return None
        found = matching(rules, judged)
        if found is None:
            return None
        opened = Opened(invitation_id, forget_at_ms)
        self._keep(opened)
        return (*found, opened)

    def told(self, invitation_id: str) -> Opened | None:
        """Ingest has opened it: what to keep; None when that was known, or nothing was decided here."""
        known = self._opened.get(invitation_id)
        if known is None or known.told:
            return None
        opened = Opened(known.invitation_id, known.forget_at_ms, told=True)
        self._opened[invitation_id] = opened
        return opened

    def forget(self, now_ms: int) -> list[str]:
        """Invitations whose answers can change no more."""
        gone: list[str] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, invitation_id = heapq.heappop(self._timers)
            known = self._opened.get(invitation_id)
            if known is not None and known.forget_at_ms == at_ms:
                del self._opened[invitation_id]
                gone.append(invitation_id)
        return gone

    def next_wakeup(self) -> int | None:
        """When `forget` has something to do; it may turn out to be nothing."""
        return self._timers[0][0] if self._timers else None

    def _keep(self, opened: Opened) -> None:
        self._opened[opened.invitation_id] = opened
        heapq.heappush(self._timers, (opened.forget_at_ms, opened.invitation_id))
