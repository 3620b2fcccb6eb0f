"""Invitations and responses: the stored state, the commands, and the effects. `domain.invitation_policy` decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from services.feedback.domain.open_interactions import OpenInteractions
from services.feedback.domain.people import SurveyHistory
from services.feedback.domain.reasons import Reason
from services.policy.model.surveys import Question, Subject, SurveyKind

GRACE_MS: Final = 7 * 24 * 3_600_000
MOST_REVISIONS: Final = 20
"""Most revisions of a response, amendments included; after that it is final."""


class Stage(StrEnum):
    """Stage of an invitation."""

    WAITING = "waiting"
    DUE = "due"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class SkipReason(StrEnum):
    """Why no invitation was created."""

    NO_SURVEY = "NO_SURVEY"
    NOT_ASKED = "NOT_ASKED"
    NO_FURTHER_WORK = "NO_FURTHER_WORK"
    SAMPLED_OUT = "SAMPLED_OUT"
    TOO_SOON = "TOO_SOON"
    TOO_MANY = "TOO_MANY"
    ALREADY_INVITED = "ALREADY_INVITED"
    TOO_LATE = "TOO_LATE"


class RefusalReason(StrEnum):
    """Why a response does not count."""

    UNKNOWN_INVITATION = Reason.UNKNOWN_INVITATION
    EXPIRED = Reason.EXPIRED
    ALREADY_ANSWERED = Reason.ALREADY_ANSWERED
    REPEATED = Reason.REPEATED
    OUT_OF_SCALE = Reason.OUT_OF_SCALE
    INCOMPLETE = Reason.INCOMPLETE


class WithdrawalReason(StrEnum):
    """Why an invitation was withdrawn: before it was sent, or because it could not be delivered."""

    REPLACED = "REPLACED"
    SURVEY_REMOVED = "SURVEY_REMOVED"
    NOT_ASKED = "NOT_ASKED"
    UNDELIVERABLE = "UNDELIVERABLE"
    HELD_BACK = "HELD_BACK"
    """The customer was in a newer contact until the invitation would have expired."""


class Source(StrEnum):
    """How a response came."""

    PAGE = "page"
    REPLY = "reply"
    API = "api"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question after the first. Free text has score 0."""

    question_id: str
    kind: SurveyKind
    score: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """A response that counts. `revision` is 1 for the first, one more with each amendment."""

    score: int
    comment: str = ""
    source: Source = Source.UNKNOWN
    answers: tuple[Answer, ...] = ()
    categories: tuple[str, ...] = ()
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Invitation:
    """One survey to one person. Times in milliseconds since the epoch."""

    invitation_id: str
    tenant: str
    survey: str
    kind: SurveyKind
    subject: Subject
    question: str
    day: str
    send_at_ms: int
    """As planned; scores always count the invitation under this time."""
    expires_at_ms: int
    stage: Stage = Stage.WAITING
    made_by: str = ""
    """The command that created it."""
    answered_by: str = ""
    """The command whose response counts."""
    delivery_id: str = ""
    more: tuple[Question, ...] = ()
    """The further questions, without the wording."""
    not_before_ms: int = 0
    """Postponed to this time, later than planned; 0: not postponed."""
    remind_at_ms: int = 0
    """0: no reminder, or no more reminders."""
    amend_for_ms: int = 0
    answered_at_ms: int = 0
    counted_commands: tuple[str, ...] = ()
    """The commands whose responses counted, in order."""
    given: Given | None = None
    began_at_ms: int = 0
    """When the interaction that it is about began; 0: not known, so that any other open interaction is newer."""
    held: bool = False
    """The invitation, or its reminder, was due while the customer was in a newer contact: it waits for its end."""

    @property
    def wakes_at_ms(self) -> int:
        """When time alone changes it next."""
        match self.stage:
            case Stage.WAITING | Stage.DUE if self.held:
                return self.expires_at_ms
            case Stage.WAITING:
                return min(max(self.send_at_ms, self.not_before_ms), self.expires_at_ms)
            case Stage.DUE:
                return min(self.remind_at_ms or self.expires_at_ms, self.expires_at_ms)
            case Stage.ANSWERED | Stage.EXPIRED | Stage.WITHDRAWN:
                return self.expires_at_ms + GRACE_MS
            case _ as never:
                assert_never(never)

    @property
    def closes_at_ms(self) -> int:
        """Until when a counted response may be amended."""
        return min(self.expires_at_ms, self.answered_at_ms + self.amend_for_ms)


# Commands


@dataclass(frozen=True, slots=True)
class Erase:
    """The person is erased: everything about them is forgotten."""

    command_id: str
    tenant: str
    person_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Consider:
    """An interaction was completed: consider an invitation."""

    command_id: str
    tenant: str
    subject: Subject
    completed_at_ms: int
    began_at_ms: int = 0
    """Time of the customer's first message; 0: not known."""
    no_further_work: bool = False
    """Nothing was to be done in it."""


@dataclass(frozen=True, slots=True)
class NoteBegun:
    """An interaction of the person began."""

    command_id: str
    tenant: str
    subject: Subject
    at_ms: int


@dataclass(frozen=True, slots=True)
class NoteEnded:
    """An interaction of the person ended without being completed."""

    command_id: str
    tenant: str
    person_id: str
    interaction_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Invite:
    """Invite now, by hand."""

    command_id: str
    tenant: str
    subject: Subject
    survey: str = ""


@dataclass(frozen=True, slots=True)
class RecordResponse:
    """A response arrived. Its texts are clean already (`domain.comments`), and the adapter has put them into
    categories."""

    command_id: str
    tenant: str
    invitation_id: str
    score: int
    comment: str = ""
    source: Source = Source.UNKNOWN
    answers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Score and text, by question after the first."""
    categories: tuple[str, ...] = ()
    person_id: str = ""
    """The person who is said to respond. A response to another person's invitation is refused."""


@dataclass(frozen=True, slots=True)
class NoteSent:
    """The invitation was handed over for sending."""

    command_id: str
    tenant: str
    invitation_id: str
    delivery_id: str


@dataclass(frozen=True, slots=True)
class NoteUndeliverable:
    """A delivery of the invitation failed."""

    command_id: str
    tenant: str
    invitation_id: str
    delivery_id: str


Command = Consider | Invite | RecordResponse | NoteSent | NoteUndeliverable | NoteBegun | NoteEnded

# Effects


@dataclass(frozen=True, slots=True)
class Created:
    """An invitation was created; it waits for its time."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Due:
    """The invitation must be sent now."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class ReminderDue:
    """The invitation has no response yet: its reminder must be sent now."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Skipped:
    """No invitation was created for the interaction."""

    interaction_id: str
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The invitation was withdrawn before it was sent, or could not be delivered."""

    invitation: Invitation
    reason: WithdrawalReason


@dataclass(frozen=True, slots=True)
class Counted:
    """The first response to the invitation counts from now on."""

    invitation: Invitation
    score: int
    comment: str
    source: Source
    answers: tuple[Answer, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Amended:
    """`given` counts from now on instead of `before`."""

    invitation: Invitation
    given: Given
    before: Given


@dataclass(frozen=True, slots=True)
class Refused:
    """A response does not count."""

    invitation_id: str
    reason: RefusalReason
    channel: str = ""  # empty if the invitation is unknown


@dataclass(frozen=True, slots=True)
class Expired:
    """The invitation expired without a response."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the invitation in the changelog."""

    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the invitation from the changelog."""

    invitation_id: str


@dataclass(frozen=True, slots=True)
class KeepHistory:
    """Keep the person's history in the changelog."""

    history: SurveyHistory


@dataclass(frozen=True, slots=True)
class DropHistory:
    """Remove the person's history from the changelog."""

    tenant: str
    person_id: str


@dataclass(frozen=True, slots=True)
class KeepOpen:
    """Keep the person's open interactions in the changelog."""

    interactions: OpenInteractions


@dataclass(frozen=True, slots=True)
class DropOpen:
    """Remove the person's open interactions from the changelog."""

    tenant: str
    person_id: str


Event = Created | Due | ReminderDue | Skipped | Withdrawn | Counted | Amended | Refused | Expired
StateChange = Keep | Drop | KeepHistory | DropHistory | KeepOpen | DropOpen
Effect = Event | StateChange
