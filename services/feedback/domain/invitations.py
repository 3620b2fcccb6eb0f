"""Invitations and answers: what is kept of them, what is asked of the desk, and what it says. `domain.desk` decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from services.feedback.domain.people import Asked
from services.feedback.domain.survey import Kind, Question, Subject

GRACE_MS: Final = 7 * 24 * 3_600_000
MOST_REVISIONS: Final = 20
"""An answer may be given so often, amendments counted; afterwards it stands."""


class Stage(StrEnum):
    """How far an invitation has come."""

    WAITING = "waiting"
    DUE = "due"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class SkipReason(StrEnum):
    """Why nobody was invited."""

    NO_SURVEY = "NO_SURVEY"
    NOT_ASKED = "NOT_ASKED"
    SAMPLED_OUT = "SAMPLED_OUT"
    TOO_SOON = "TOO_SOON"
    TOO_MANY = "TOO_MANY"
    ALREADY_INVITED = "ALREADY_INVITED"
    TOO_LATE = "TOO_LATE"


class RefusalReason(StrEnum):
    """Why an answer does not count."""

    UNKNOWN_INVITATION = "UNKNOWN_INVITATION"
    EXPIRED = "EXPIRED"
    ALREADY_ANSWERED = "ALREADY_ANSWERED"
    REPEATED = "REPEATED"
    OUT_OF_SCALE = "OUT_OF_SCALE"
    INCOMPLETE = "INCOMPLETE"


class WithdrawalReason(StrEnum):
    """Why an invitation was taken back before it was sent."""

    REPLACED = "REPLACED"
    SURVEY_REMOVED = "SURVEY_REMOVED"
    NOT_ASKED = "NOT_ASKED"


class Source(StrEnum):
    """How an answer came."""

    PAGE = "page"
    REPLY = "reply"
    API = "api"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a question after the first. Free text has score 0."""

    question_id: str
    kind: Kind
    score: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that counts. `revision` is 1 for the first, one more with each amendment."""

    score: int
    comment: str = ""
    source: Source = Source.UNKNOWN
    responses: tuple[Response, ...] = ()
    categories: tuple[str, ...] = ()
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Invitation:
    """One survey to one person. Times in milliseconds since the epoch."""

    invitation_id: str
    tenant: str
    survey: str
    kind: Kind
    subject: Subject
    question: str
    day: str
    send_at_ms: int
    """As planned; scores count it under this time for good."""
    expires_at_ms: int
    stage: Stage = Stage.WAITING
    made_by: str = ""
    """The command that made it."""
    answered_by: str = ""
    """The command whose answer counts."""
    delivery_id: str = ""
    more: tuple[Question, ...] = ()
    """What else is asked, without the wording."""
    not_before_ms: int = 0
    """Put off until then, later than planned; 0: not put off."""
    remind_at_ms: int = 0
    """0: no reminder, or none any more."""
    amend_for_ms: int = 0
    answered_at_ms: int = 0
    answers: tuple[str, ...] = ()
    """The commands whose answers counted, in order."""
    given: Given | None = None

    @property
    def wakes_at_ms(self) -> int:
        """When time alone changes it next."""
        match self.stage:
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
        """Until when a counted answer may be amended."""
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
    """An answer arrived. Its texts are clean already (`domain.comments`), and whoever knows the rules has put them into categories."""

    command_id: str
    tenant: str
    invitation_id: str
    score: int
    comment: str = ""
    source: Source = Source.UNKNOWN
    responses: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Score and text by question after the first."""
    categories: tuple[str, ...] = ()
    person_id: str = ""
    """Who is said to answer; an invitation of somebody else is not theirs to answer."""


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
class ReminderDue:
    invitation: Invitation


@dataclass(frozen=True, slots=True)
class Skipped:
    interaction_id: str
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Withdrawn:
    invitation: Invitation
    reason: WithdrawalReason


@dataclass(frozen=True, slots=True)
class Counted:
    invitation: Invitation
    score: int
    comment: str
    source: Source
    responses: tuple[Response, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Amended:
    """`given` counts from now on instead of `before`."""

    invitation: Invitation
    given: Given
    before: Given


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


Event = Created | Due | ReminderDue | Skipped | Withdrawn | Counted | Amended | Refused | Expired
StateChange = Keep | Drop | KeepAsked | DropAsked
Effect = Event | StateChange
