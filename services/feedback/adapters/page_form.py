"""The form of a survey page: its questions in order, the submitted values, and what is missing in them.

Fields: `score` or `comment` for the first question, `q-<id>` for the others, `comment` for a final free text, `view`
for the page view that it came from, `website` for programs that fill in everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.feedback.adapters.page_texts import Texts
from services.feedback.domain.comments import clean_comment
from services.feedback.ports import Ticket
from services.policy.model.surveys import (
    MAX_COMMENT_CHARS,
    MOST_QUESTIONS,
    SCALES,
    Programme,
    Survey,
    SurveyKind,
    generic_question,
)

BASE_BYTES: Final = 64 << 10
TEXT_BYTES: Final = 24 << 10
"""Most bytes that 4,000 Persian letters take in a form."""
# Digits of the scales: people type and send them in either script.
_DIGITS: Final = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_SCORE_CHARS: Final = 40
MOST_FIELDS: Final = 4 + MOST_QUESTIONS
_ESCAPES: Final = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_VIEW: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """One question of the page. `question_id` is empty for the first one and for the comment."""

    field: str
    question_id: str
    kind: SurveyKind
    text: str
    optional: bool


class Form:
    """The questions of one link's survey, in one language."""

    def __init__(self, ticket: Ticket, programme: Programme, t: Texts, language: str) -> None:
        survey = programme.named(ticket.survey)
        # A survey of another kind has replaced this one since then: its questions are not the ones of this link.
        self.survey: Survey | None = survey if survey is not None and survey.kind is ticket.kind else None
        self._t = t
        first = generic_question(ticket.kind, t.lang)
        if self.survey is not None:
            first = programme.wording(self.survey.questions, ticket.kind, language)
        self.first = PageQuestion(
            "comment" if ticket.kind is SurveyKind.TEXT else "score", "", ticket.kind, first, optional=False
        )
        self.more = tuple(
            PageQuestion(
                f"q-{each.question_id}",
                each.question_id,
                each.kind,
                programme.wording(each.texts, each.kind, language),
                each.optional,
            )
            for each in (self.survey.more if self.survey is not None else ())
        )
        comment = PageQuestion("comment", "", SurveyKind.TEXT, t.comment, optional=True)
        self.questions = (self.first, *self.more, *(() if ticket.kind is SurveyKind.TEXT else (comment,)))

    @property
    def most_bytes(self) -> int:
        """Most bytes of a filled-in form."""
        return BASE_BYTES + TEXT_BYTES * sum(1 for each in self.more if each.kind is SurveyKind.TEXT)

    def missing(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the errors, by field."""
        found: dict[str, str] = {}
        for each in self.questions:
            value = fields.get(each.field, "")
            if each.kind is SurveyKind.TEXT:
                if not each.optional and not clean_comment(value):
                    found[each.field] = self._t.write
            elif value.strip() or not each.optional:
                score = read_score(value)
                if score is None or score not in SCALES[each.kind]:
                    found[each.field] = self._t.choose
        return found

    def response(self, fields: Mapping[str, str]) -> tuple[int, dict[str, tuple[int, str]]]:
        """Return the first score, and the answers to the other questions, of a form without errors."""
        answers: dict[str, tuple[int, str]] = {}
        for each in self.more:
            value = fields.get(each.field, "")
            if each.kind is SurveyKind.TEXT:
                if clean_comment(value):
                    answers[each.question_id] = (0, value)
            elif (score := read_score(value)) is not None:
                answers[each.question_id] = (score, "")
        return read_score(fields.get("score", "")) or 0, answers

    def shown(self, fields: Mapping[str, str], wrong: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the questions for the template, with the values that were filled in."""
        return [self._shown(each, fields.get(each.field, ""), wrong.get(each.field, "")) for each in self.questions]

    def _shown(self, each: PageQuestion, value: str, problem: str) -> dict[str, Any]:
        t = self._t
        base = {"field": each.field, "text": each.text, "optional": each.optional, "problem": problem}
        if each.kind is SurveyKind.TEXT:
            return {**base, "scores": None, "written": value[:MAX_COMMENT_CHARS]}
        scale, (least, most) = SCALES[each.kind], t.ends[each.kind]
        return {
            **base,
            "scores": [{"value": score, "shown": t.number(score)} for score in scale],
            "chosen": read_score(value),
            "least": least,
            "most": most,
            "scale_note": t.scale.format(low=t.number(scale[0]), high=t.number(scale[-1]), least=least, most=most),
        }


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of a URL-encoded form, the last of each name. Raises ValueError for another body, and for more
    than MOST_FIELDS fields."""
    text = body.decode("ascii")
    if text.count("&") >= MOST_FIELDS:
        raise ValueError("too many fields")
    fields: dict[str, str] = {}
    for field in text.split("&") if text else ():
        name, equals, value = field.partition("=")
        if not equals:
            raise ValueError("a field has no value")
        fields[_unquoted(name)] = _unquoted(value)
    return fields


def _unquoted(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    # A run at a time: a Persian letter is two escapes, and the standard library takes each by itself.
    return _ESCAPES.sub(_bytes_of, text.encode()).decode("utf-8", "replace")


def _bytes_of(run: "re.Match[bytes]") -> bytes:
    return bytes.fromhex(run[0].replace(b"%", b"").decode())


def read_score(text: str) -> int | None:
    """Return a whole number in digits of either script; None for other texts."""
    text = text[:_SCORE_CHARS].strip().translate(_DIGITS)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else None


def read_view(text: str) -> str:
    """Return the page view's number; empty if this service did not make it."""
    return text if _VIEW.fullmatch(text) else ""
