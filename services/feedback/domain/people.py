"""When a person was invited and last responded, and whether they may be invited again.

The rule, from sending to sending and for invitations of all surveys together:
- before an invitation, there is at least its own survey's minimum gap;
- within its own survey's window that ends with it, it is at most the m-th invitation.

The rule covers planned invitations too: an invitation that would break it for another one that is already planned for
later is not created. Reminders do not count. Times are milliseconds since the epoch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.policy.model.surveys import MOST_SENDINGS


class Fatigue(StrEnum):
    """Which part of the rule forbids an invitation."""

    TOO_SOON = "TOO_SOON"
    TOO_MANY = "TOO_MANY"


@dataclass(frozen=True, slots=True)
class Sending:
    """An invitation that was sent, or is planned. `most` 0: its survey has no window."""

    invitation_id: str
    at_ms: int
    gap_ms: int = 0
    window_ms: int = 0
    most: int = 0
    sent: bool = False


@dataclass(frozen=True, slots=True)
class SurveyHistory:
    """The remembered history of a person. `forget_at_ms`: from then on it matters to no survey."""

    tenant: str
    person_id: str
    last_send_at_ms: int = 0
    """The newest of `sendings`; the only field in entries of earlier versions."""
    forget_at_ms: int = 0
    sendings: tuple[Sending, ...] = ()
    responded_at_ms: int = 0
    """Time at which the person's last response was counted; 0: none within memory."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.tenant, self.person_id)

    @property
    def known(self) -> tuple[Sending, ...]:
        """The sendings; for an entry of an earlier version, the last one."""
        if not self.sendings and self.last_send_at_ms:
            return (Sending("", self.last_send_at_ms, sent=True),)
        return self.sendings

    def silent(self, after_ms: int, now_ms: int) -> bool:
        """Return whether the person gave no response for this time. A person without any response is silent."""
        return now_ms - self.responded_at_ms >= after_ms

    def without(self, invitation_id: str) -> "SurveyHistory":
        """Return the history as if this invitation had never been planned."""
        left = tuple(sending for sending in self.known if sending.invitation_id != invitation_id)
        return replace(self, sendings=left, last_send_at_ms=max((each.at_ms for each in left), default=0))

    def having(self, sending: Sending) -> "SurveyHistory":
        """Return the history with this invitation planned or sent, in place of its earlier entry."""
        sendings = sorted((*self.without(sending.invitation_id).known, sending), key=lambda each: each.at_ms)
        return replace(self, sendings=tuple(sendings[-MOST_SENDINGS:]), last_send_at_ms=sendings[-1].at_ms)

    def remembered(self, now_ms: int, memory_ms: int, silence_ms: int) -> "SurveyHistory":
        """Return the history without the parts that no longer matter, and the time until which the rest does: not
        later than `now_ms` if nothing is left."""
        left = tuple(sending for sending in self.known if sending.at_ms + memory_ms > now_ms or not sending.sent)
        until = [sending.at_ms + memory_ms for sending in left] if memory_ms > 0 else []
        if self.responded_at_ms and silence_ms > 0:
            until.append(self.responded_at_ms + silence_ms)
        last = max((sending.at_ms for sending in left), default=0)
        return replace(self, sendings=left, last_send_at_ms=last, forget_at_ms=max(until, default=0))


def objection(others: Iterable[Sending], new: Sending) -> Fatigue | None:
    """Return which part of the rule forbids planning `new` beside the others; None if it is allowed."""
    line = sorted([*(each for each in others if each.invitation_id != new.invitation_id), new], key=lambda s: s.at_ms)
    for index, sending in enumerate(line):
        # An invitation before it is not affected.
        if sending.at_ms < new.at_ms:
            continue
        before = line[:index]
        if before and sending.at_ms - before[-1].at_ms < sending.gap_ms:
            return Fatigue.TOO_SOON
        if sending.most > 0:
            within = sum(1 for each in before if each.at_ms > sending.at_ms - sending.window_ms)
            if within >= sending.most:
                return Fatigue.TOO_MANY
    return None


def earliest(others: Iterable[Sending], own: Sending, now_ms: int) -> int:
    """Return when `own` may really be sent, given the real times of the others: after an outage that is later than
    planned."""
    times = sorted(
        (each.at_ms for each in others if each.sent and each.invitation_id != own.invitation_id), reverse=True
    )
    at = now_ms
    if times and own.gap_ms > 0:
        at = max(at, times[0] + own.gap_ms)
    if 0 < own.most <= len(times):
        at = max(at, times[own.most - 1] + own.window_ms)
    return at
