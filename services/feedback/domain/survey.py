"""Which survey fits a contact, who is in the sample, and what may be answered.

Sampling is a function of the interaction and the survey alone, so a command that comes twice, or is replayed after a crash, is decided
the same way, and nobody can be asked by trying again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Final

DEFAULT_EXPIRES_AFTER_MS: Final = 72 * 3_600_000
_SAMPLE_SPACE: Final = 1 << 64
_NO = frozenset({"", "0", "false", "no"})
_NEVER_ASKED: Final = ("spam", "auto_submitted")


class Kind(StrEnum):
    """What a survey asks. The value is how other services spell it (`survey_kind` of a send request)."""

    CSAT = "csat"
    NPS = "nps"
    CES = "ces"


SCALES: Final[Mapping[Kind, range]] = MappingProxyType(
    {Kind.CSAT: range(1, 6), Kind.NPS: range(11), Kind.CES: range(1, 8)}
)
"""Scores that may be given, by kind."""

GENERIC_QUESTIONS: Final[Mapping[Kind, Mapping[str, str]]] = MappingProxyType(
    {
        Kind.CSAT: {
            "fa": "از پاسخی که گرفتید چقدر راضی بودید؟",
            "en": "How satisfied were you with the help you got?",
        },
        Kind.NPS: {
            "fa": "چقدر احتمال دارد ما را به دوستان یا همکارانتان پیشنهاد کنید؟",
            "en": "How likely are you to recommend us to a friend or colleague?",
        },
        Kind.CES: {
            "fa": "چقدر موافقید که حل کردن موضوع با ما آسان بود؟",
            "en": "How much do you agree: it was easy to get my issue handled?",
        },
    }
)
"""Asked where a survey has no question in the person's language and none in the tenant's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The contact that is asked about; frozen when the invitation is made."""

    interaction_id: str
    conversation_id: str
    person_id: str
    identity_id: str
    channel: str
    queue: str
    agent_id: str = ""
    language: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def never_asked(self) -> bool:
        """Spam and automatic mail have nobody behind them who could answer."""
        return any(self.labels.get(name, "").lower() not in _NO for name in _NEVER_ASKED)


@dataclass(frozen=True, slots=True)
class Survey:
    """Whom to ask what, and how often. Times in milliseconds."""

    name: str
    kind: Kind
    queues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    sampling: float = 1.0
    least_gap_ms: int = 0
    delay_ms: int = 0
    expires_after_ms: int = DEFAULT_EXPIRES_AFTER_MS
    questions: Mapping[str, str] = field(default_factory=dict)

    def fits(self, subject: Subject) -> bool:
        """Whether this survey is for the subject's queue and channel."""
        return (not self.queues or subject.queue in self.queues) and (
            not self.channels or subject.channel in self.channels
        )

    def samples(self, interaction_id: str) -> bool:
        """Whether the interaction is among the share that is asked: 64 bits of SHA-256 below the share of their space."""
        digest = hashlib.sha256(f"{self.name}\x1f{interaction_id}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < self.sampling * _SAMPLE_SPACE


@dataclass(frozen=True, slots=True)
class Programme:
    """All that a tenant has configured about surveys."""

    surveys: tuple[Survey, ...] = ()
    default_language: str = "fa"
    zone: tzinfo = UTC

    def choose(self, subject: Subject, name: str = "") -> Survey | None:
        """The survey of this name, or without one the first that fits. None: nothing to ask."""
        if name:
            return next((survey for survey in self.surveys if survey.name == name), None)
        return next((survey for survey in self.surveys if survey.fits(subject)), None)

    def question(self, survey: Survey, language: str) -> str:
        """The survey's question in the person's language, else in the tenant's, else the generic one."""
        for wanted in (language, primary(language), self.default_language):
            if wanted in survey.questions:
                return survey.questions[wanted]
        return generic_question(survey.kind, language or self.default_language)

    def day(self, at_ms: int) -> str:
        """The calendar day of an instant in the tenant's zone, ISO 8601."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date().isoformat()

    @property
    def longest_gap_ms(self) -> int:
        """How long an invitation can still matter for the least gap of any survey."""
        return max((survey.least_gap_ms for survey in self.surveys), default=0)


def primary(language: str) -> str:
    """The primary subtag of a BCP 47 tag: "fa" of "fa-IR"."""
    return language.replace("_", "-").split("-", 1)[0].lower()


def generic_question(kind: Kind, language: str) -> str:
    """A question of this kind in Persian, or in English for every other language."""
    texts = GENERIC_QUESTIONS[kind]
    return texts.get(primary(language), texts["en"])
