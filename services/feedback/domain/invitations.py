"""Who is asked, and which answer counts: the survey desk of one partition.

Rules:
- One invitation an interaction and survey. Spam and automatic mail are never asked, by hand neither.
- Between two invitations of a person, from sending to sending, lies at least the newer survey's least gap; by hand too.
- By hand (`Invite`) bypasses sampling, the survey's delay and its queues and channels where it is named.
- An invitation is created at once, due at its time, and never due once it has expired; one that would be born expired is not made.
- The first valid answer counts. The same command again changes nothing; another answer is refused, and says why.
- An invitation leaves memory a grace period after its expiry: until then a late answer is EXPIRED, later UNKNOWN_INVITATION.

`handle` and `advance` return effects in order and have already changed the desk; whoever performs them writes `Keep…` and `Drop…` to the
changelog. Commands that change nothing have no effects.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, assert_never

from services.feedback.domain.survey import SCALES, Kind, Programme, Subject, Survey

GRACE_MS: Final = 7 * 24 * 3_600_000


class Stage(StrEnum):
    """How far an invitation has come."""

    WAITING = "waiting"
    DUE = "due"
    ANSWERED = "answered"
    EXPIRED = "expired"


class SkipReason(StrEnum):
    """Why nobody was invited."""

    NO_SURVEY = "NO_SURVEY"
    NOT_ASKED = "NOT_ASKED"
    SAMPLED_OUT = "SAMPLED_OUT"
    TOO_SOON = "TOO_SOON"
    ALREADY_INVITED = "ALREADY_INVITED"
    TOO_LATE = "TOO_LATE"


class RefusalReason(StrEnum):
    """Why an answer does not count."""

    UNKNOWN_INVITATION = "UNKNOWN_INVITATION"
    EXPIRED = "EXPIRED"
    ALREADY_ANSWERED = "ALREADY_ANSWERED"
    OUT_OF_SCALE = "OUT_OF_SCALE"


class Source(StrEnum):
    """How an answer came."""

    PAGE = "page"
    REPLY = "reply"
    API = "api"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Invitation:
    """One question to one person. Times in milliseconds since the epoch."""

    invitation_id: str
    tenant: str
    survey: str
    kind: Kind
    subject: Subject
    question: str
    day: str
    send_at_ms: int
    expires_at_ms: int
    stage: Stage = Stage.WAITING
    made_by: str = ""
    """The command that made it."""
    answered_by: str = ""
    """The command whose answer counted."""
    delivery_id: str = ""

    @property
    def wakes_at_ms(self) -> int:
        """When time alone changes it next."""
        match self.stage:
            case Stage.WAITING:
                return min(self.send_at_ms, self.expires_at_ms)
            case Stage.DUE:
                return self.expires_at_ms
            case Stage.ANSWERED | Stage.EXPIRED:
                return self.expires_at_ms + GRACE_MS
            case _ as never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class Asked:
    """When a person was last asked. `forget_at_ms`: from then on it matters to no survey."""

    tenant: str
    person_id: str
    last_send_at_ms: int
    forget_at_ms: int

    @property
    def key(self) -> tuple[str, str]:
        return (self.tenant, self.person_id)


# Commands


@dataclass(frozen=True, slots=True)
class Consider:
    """An interaction was completed: maybe invite."""

    command_id: str
    tenant: str
    subject: Subject
    completed_at_ms: int


@dataclass(frozen=True, slots=True)
class Invite:
    """Invite now, by hand."""

    command_id: str
    tenant: str
    subject: Subject
    survey: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer arrived. The comment is clean already (`domain.comments`)."""

    command_id: str
    tenant: str
    invitation_id: str
    score: int
    comment: str = ""
    source: Source = Source.UNKNOWN


@dataclass(frozen=True, slots=True)
class NoteSent:
    """The invitation was handed over for sending."""

    command_id: str
    tenant: str
    invitation_id: str
    delivery_id: str


Command = Consider | Invite | Answer | NoteSent

# Effects


@dataclass(frozen=True, slots=True)
class Created:
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Due:
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Skipped:
    interaction_id: str
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Counted:
    invitation: Invitation
    score: int
    comment: str
    source: Source


@dataclass(frozen=True, slots=True)
class Refused:
    invitation_id: str
    reason: RefusalReason
    channel: str = ""  # empty where the invitation is unknown


@dataclass(frozen=True, slots=True)
class Expired:
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Keep:
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Drop:
    invitation_id: str


@dataclass(frozen=True, slots=True)
class KeepAsked:
    asked: Asked


@dataclass(frozen=True, slots=True)
class DropAsked:
    tenant: str
    person_id: str


Event = Created | Due | Skipped | Counted | Refused | Expired
StateChange = Keep | Drop | KeepAsked | DropAsked
Effect = Event | StateChange


class Desk:
    """The invitations and the people of one partition."""

    def __init__(self, derive: Callable[..., str]) -> None:
        """`derive(*parts)` makes an id of its parts, always the same (UUIDv5)."""
        self._derive = derive
        self._invitations: dict[str, Invitation] = {}
        self._asked: dict[tuple[str, str], Asked] = {}
        self._timers: list[tuple[int, str, tuple[str, ...]]] = []

    def restore(self, kept: Invitation | Asked) -> None:
        """Takes back what was kept."""
        if isinstance(kept, Invitation):
            self._keep(kept)
        else:
            self._keep_asked(kept)

    def handle(self, command: Command, programme: Programme, now_ms: int) -> list[Effect]:
        """Decides one command."""
        match command:
            case Consider():
                return self._consider(command, programme, now_ms)
            case Invite():
                return self._invite(command, programme, now_ms)
            case Answer():
                return self._answer(command, now_ms)
            case NoteSent():
                return self._note_sent(command)
            case _ as never:
                assert_never(never)

    def advance(self, now_ms: int) -> list[Effect]:
        """Everything whose time has come, in order of time."""
        effects: list[Effect] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, what, key = heapq.heappop(self._timers)
            if what == "asked":
                effects += self._forget_asked((key[0], key[1]), at_ms)
                continue
            invitation = self._invitations.get(key[0])
            # A timer that an answer or a later stage has overtaken is no longer this invitation's.
            if invitation is not None and invitation.wakes_at_ms == at_ms:
                effects += self._step(invitation, now_ms)
        return effects

    def next_wakeup(self) -> int | None:
        """When `advance` has something to do; it may turn out to be nothing."""
        return self._timers[0][0] if self._timers else None

    @property
    def size(self) -> tuple[int, int]:
        """Invitations and people in memory."""
        return len(self._invitations), len(self._asked)

    def _consider(self, command: Consider, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.choose(command.subject)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        send_at_ms = command.completed_at_ms + survey.delay_ms
        sampled = survey.samples(command.subject.interaction_id)
        return self._decide(command, survey, programme, send_at_ms, now_ms, sampled=sampled)

    def _invite(self, command: Invite, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.choose(command.subject, command.survey)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        return self._decide(command, survey, programme, now_ms, now_ms, sampled=True)

    def _decide(
        self,
        command: Consider | Invite,
        survey: Survey,
        programme: Programme,
        send_at_ms: int,
        now_ms: int,
        *,
        sampled: bool,
    ) -> list[Effect]:
        subject = command.subject
        invitation_id = self._derive(subject.interaction_id, survey.name)
        known = self._invitations.get(invitation_id)
        if known is not None:
            if known.made_by == command.command_id:
                return []
            return self._skip(subject, SkipReason.ALREADY_INVITED)
        if subject.never_asked:
            return self._skip(subject, SkipReason.NOT_ASKED)
        if not sampled:
            return self._skip(subject, SkipReason.SAMPLED_OUT)
        if send_at_ms + survey.expires_after_ms <= now_ms:
            return self._skip(subject, SkipReason.TOO_LATE)
        asked = self._asked.get((command.tenant, subject.person_id))
        if asked is not None and survey.least_gap_ms > 0 and send_at_ms - asked.last_send_at_ms < survey.least_gap_ms:
            return self._skip(subject, SkipReason.TOO_SOON)
        invitation = Invitation(
            invitation_id=invitation_id,
            tenant=command.tenant,
            survey=survey.name,
            kind=survey.kind,
            subject=subject,
            question=programme.question(survey, subject.language),
            day=programme.day(send_at_ms),
            send_at_ms=send_at_ms,
            expires_at_ms=send_at_ms + survey.expires_after_ms,
            made_by=command.command_id,
        )
        self._keep(invitation)
        effects: list[Effect] = [Created(invitation), Keep(invitation)]
        if programme.longest_gap_ms > 0:
            last_ms = send_at_ms if asked is None else max(asked.last_send_at_ms, send_at_ms)
            note = Asked(command.tenant, subject.person_id, last_ms, last_ms + programme.longest_gap_ms)
            self._keep_asked(note)
            effects.append(KeepAsked(note))
        if send_at_ms <= now_ms:
            effects += self._step(invitation, now_ms)
        return effects

    def _answer(self, command: Answer, now_ms: int) -> list[Effect]:
        invitation = self._invitations.get(command.invitation_id)
        # Another tenant's invitation does not exist for this one.
        if invitation is None or invitation.tenant != command.tenant:
            return [Refused(command.invitation_id, RefusalReason.UNKNOWN_INVITATION)]
        if invitation.answered_by == command.command_id:
            return []
        reason: RefusalReason | None = None
        if invitation.stage is Stage.ANSWERED:
            reason = RefusalReason.ALREADY_ANSWERED
        elif invitation.stage is Stage.EXPIRED or invitation.expires_at_ms <= now_ms:
            reason = RefusalReason.EXPIRED
        elif command.score not in SCALES[invitation.kind]:
            reason = RefusalReason.OUT_OF_SCALE
        if reason is not None:
            return [Refused(command.invitation_id, reason, invitation.subject.channel)]
        answered = replace(invitation, stage=Stage.ANSWERED, answered_by=command.command_id)
        self._keep(answered)
        return [Counted(answered, command.score, command.comment, command.source), Keep(answered)]

    def _note_sent(self, command: NoteSent) -> list[Effect]:
        invitation = self._invitations.get(command.invitation_id)
        if invitation is None or invitation.tenant != command.tenant or invitation.delivery_id == command.delivery_id:
            return []
        noted = replace(invitation, delivery_id=command.delivery_id)
        # Neither stage nor times change, so its timer stands.
        self._invitations[noted.invitation_id] = noted
        return [Keep(noted)]

    def _step(self, invitation: Invitation, now_ms: int) -> list[Effect]:
        if invitation.stage in (Stage.ANSWERED, Stage.EXPIRED):
            del self._invitations[invitation.invitation_id]
            return [Drop(invitation.invitation_id)]
        if invitation.expires_at_ms <= now_ms:
            expired = replace(invitation, stage=Stage.EXPIRED)
            self._keep(expired)
            return [Expired(expired), Keep(expired)]
        due = replace(invitation, stage=Stage.DUE)
        self._keep(due)
        return [Due(due), Keep(due)]

    def _forget_asked(self, key: tuple[str, str], at_ms: int) -> list[Effect]:
        asked = self._asked.get(key)
        if asked is None or asked.forget_at_ms != at_ms:
            return []
        del self._asked[key]
        return [DropAsked(*key)]

    def _keep(self, invitation: Invitation) -> None:
        self._invitations[invitation.invitation_id] = invitation
        heapq.heappush(self._timers, (invitation.wakes_at_ms, "invitation", (invitation.invitation_id,)))

    def _keep_asked(self, asked: Asked) -> None:
        self._asked[asked.key] = asked
        heapq.heappush(self._timers, (asked.forget_at_ms, "asked", asked.key))

    @staticmethod
    def _skip(subject: Subject, reason: SkipReason) -> list[Effect]:
        return [Skipped(subject.interaction_id, reason)]
