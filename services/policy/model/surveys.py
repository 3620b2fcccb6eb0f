"""Which survey fits a contact, which interactions are in the sample, and which answers are valid.

Sampling is a function of the interaction and the survey alone, so a command that comes twice, or is replayed after a
crash, is decided the same way, and a repeated attempt cannot change the result. A larger share contains every
interaction of a smaller one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from services.policy.model.automatic import AutomaticKind
from services.policy.model.quiet_hours import Quiet

DEFAULT_EXPIRES_AFTER_MS: Final = 72 * 3_600_000
MOST_QUESTIONS: Final = 10
"""Most questions after the first."""
MOST_SENDINGS: Final = 64
"""Most invitations of one person that are remembered, and so the largest `most_in_window`."""
MAX_COMMENT_CHARS: Final = 4000
"""Longest free text of a response."""
_SAMPLE_SPACE: Final = 1 << 64
_NO: Final = frozenset({"", "0", "false", "no"})


class SurveyKind(StrEnum):
    """What a survey asks. The value is the name that other services use (`survey_kind` of a send request)."""

    CSAT = "csat"
    NPS = "nps"
    CES = "ces"
    TEXT = "text"


SCALES: Final[Mapping[SurveyKind, range]] = MappingProxyType(
    {SurveyKind.CSAT: range(1, 6), SurveyKind.NPS: range(11), SurveyKind.CES: range(1, 8)}
)
"""Valid scores, by kind. Free text has none."""

GENERIC_QUESTIONS: Final[Mapping[SurveyKind, Mapping[str, str]]] = MappingProxyType(
    {
        SurveyKind.CSAT: {
            "fa": "از پاسخی که گرفتید چقدر راضی بودید؟",
            "en": "How satisfied were you with the help you got?",
        },
        SurveyKind.NPS: {
            "fa": "چقدر احتمال دارد ما را به دوستان یا همکارانتان پیشنهاد کنید؟",
            "en": "How likely are you to recommend us to a friend or colleague?",
        },
        SurveyKind.CES: {
            "fa": "چقدر موافقید که حل کردن موضوع با ما آسان بود؟",
            "en": "How much do you agree: it was easy to get my issue handled?",
        },
        SurveyKind.TEXT: {
            "fa": "چه چیزی را باید بهتر کنیم؟",
            "en": "What should we do better?",
        },
    }
)
"""Used if a survey has no question in the person's language and none in the tenant's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The contact that the survey is about; frozen when the invitation is created."""

    interaction_id: str
    conversation_id: str
    person_id: str
    identity_id: str
    channel: str
    queue: str
    agent_id: str = ""
    language: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    agent_ids: tuple[str, ...] = ()
    """All agents who held it, in order."""
    config_version: int = 0
    skills: tuple[str, ...] = ()
    """Attributes that its requirements named."""
    automatic: AutomaticKind = AutomaticKind.NONE
    """The kind of the automatic message that opened it."""

    @property
    def tier(self) -> str:
        """The customer's tier; empty if it is unknown."""
        return self.labels.get("tier", "")

    @property
    def never_asked(self) -> bool:
        """Whether no invitation may ever be sent: no person is behind spam and automatic mail."""
        return not self.automatic.by_person or self.labels.get("spam", "").lower() not in _NO


@dataclass(frozen=True, slots=True)
class Question:
    """A question after a survey's first. `optional`: the response counts without it."""

    question_id: str
    kind: SurveyKind
    texts: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """Which contacts are asked which questions, and how often. Times in milliseconds, 0 for a rule that is not set."""

    name: str
    kind: SurveyKind
    queues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    """Primary subtags."""
    sampling: float = 1.0
    least_gap_ms: int = 0
    window_ms: int = 0
    most_in_window: int = 0
    """Most invitations of any survey within `window_ms`."""
    silent_after_ms: int = 0
    silent_sampling: float = 0.0
    delay_ms: int = 0
    quiet: Quiet | None = None
    expires_after_ms: int = DEFAULT_EXPIRES_AFTER_MS
    remind_after_ms: int = 0
    first_response_counts: bool = False
    amend_within_ms: int = 0
    """0: until the invitation expires."""
    questions: Mapping[str, str] = field(default_factory=dict)
    more: tuple[Question, ...] = ()

    def fits(self, subject: Subject, default_language: str) -> bool:
        """Return whether this survey is for the subject's queue, channel, tier and language."""
        return (
            (not self.queues or subject.queue in self.queues)
            and (not self.channels or subject.channel in self.channels)
            and (not self.tiers or subject.tier in self.tiers)
            and (not self.languages or primary(subject.language or default_language) in self.languages)
        )

    def samples(self, interaction_id: str, *, silent: bool = False) -> bool:
        """Return whether the interaction is in the sample: 64 bits of SHA-256 are below the share of their range."""
        share = self.silent_sampling if silent and self.silent_after_ms > 0 else self.sampling
        digest = hashlib.sha256(f"{self.name}\x1f{interaction_id}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < share * _SAMPLE_SPACE

    @property
    def amend_for_ms(self) -> int:
        """How long after the first response it may be amended; 0: the first response is final."""
        if self.first_response_counts:
            return 0
        return self.amend_within_ms or self.expires_after_ms


@dataclass(frozen=True, slots=True)
class Programme:
    """A tenant's whole configuration of surveys."""

    surveys: tuple[Survey, ...] = ()
    default_language: str = "fa"
    zone: tzinfo = UTC

    def choose(self, subject: Subject, name: str = "") -> Survey | None:
        """Return the survey of this name, or without a name the first that fits; None if there is none."""
        if name:
            return self.named(name)
        return next((survey for survey in self.surveys if survey.fits(subject, self.default_language)), None)

    def named(self, name: str) -> Survey | None:
        """Return the survey of this name; None if there is none."""
        return next((survey for survey in self.surveys if survey.name == name), None)

    def question(self, survey: Survey, language: str) -> str:
        """Return the survey's first question in the person's language, else in the tenant's, else the generic one."""
        return self.wording(survey.questions, survey.kind, language)

    def wording(self, texts: Mapping[str, str], kind: SurveyKind, language: str) -> str:
        """Return a question in this language, else in the tenant's, else the generic one of its kind."""
        for wanted in (language, primary(language), self.default_language):
            if wanted in texts:
                return texts[wanted]
        return generic_question(kind, language or self.default_language)

    def day(self, at_ms: int) -> str:
        """Return the calendar day of an instant in the tenant's zone, ISO 8601."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date().isoformat()

    def after_quiet(self, survey: Survey, at_ms: int) -> int:
        """Return the first instant from `at_ms` on at which this survey may send."""
        return at_ms if survey.quiet is None else survey.quiet.end(at_ms, self.zone)

    @property
    def longest_memory_ms(self) -> int:
        """How long an invitation can still matter for a gap or a window of any survey."""
        return max((max(survey.least_gap_ms, survey.window_ms) for survey in self.surveys), default=0)

    @property
    def longest_silence_ms(self) -> int:
        """How long a response can still matter for the rule about silent customers of any survey."""
        return max((survey.silent_after_ms for survey in self.surveys), default=0)


def primary(language: str) -> str:
    """Return the primary subtag of a BCP 47 tag: "fa" of "fa-IR"."""
    return language.replace("_", "-").split("-", 1)[0].lower()


def generic_question(kind: SurveyKind, language: str) -> str:
    """Return a question of this kind in Persian, or in English for every other language."""
    texts = GENERIC_QUESTIONS[kind]
    return texts.get(primary(language), texts["en"])
