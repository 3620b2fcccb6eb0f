"""Which responses count, and which parts of them.

- A score is on its question's scale; free text has no score, and blank text is not an answer.
- Answers to unknown questions are ignored: the survey may have changed since the page was opened.
- Whether a question that is not optional may be left out depends on the channel of the response: a page has checked
  already; a program (gRPC) gets an error and can try again; a reply in the conversation answers the first question
  only.
- A reply that amends gives another first score; the other answers stay. By page and by gRPC, the whole response is
  given again.
"""

from dataclasses import replace

from services.feedback.domain.invitations import Answer, Given, Invitation, RecordResponse, RefusalReason, Source
from services.policy.model.surveys import SCALES, SurveyKind


def weigh(invitation: Invitation, response: RecordResponse) -> Given | RefusalReason:
    """Return what would count, whether or not there was a response before; or the reason why nothing counts."""
    before = invitation.given
    if invitation.kind is SurveyKind.TEXT:
        if response.score != 0:
            return RefusalReason.OUT_OF_SCALE
        if not response.comment:
            return RefusalReason.INCOMPLETE
    elif response.score not in SCALES[invitation.kind]:
        return RefusalReason.OUT_OF_SCALE
    if response.source is Source.REPLY and before is not None:
        return replace(before, score=response.score, source=response.source, revision=before.revision + 1)
    answers: list[Answer] = []
    for question in invitation.more:
        score, text = response.answers.get(question.question_id, (None, ""))
        if question.kind is SurveyKind.TEXT:
            if score:
                return RefusalReason.OUT_OF_SCALE
            if text:
                answers.append(Answer(question.question_id, SurveyKind.TEXT, 0, text))
                continue
        elif score is not None:
            if score not in SCALES[question.kind]:
                return RefusalReason.OUT_OF_SCALE
            answers.append(Answer(question.question_id, question.kind, score))
            continue
        if response.source is Source.API and not question.optional:
            return RefusalReason.INCOMPLETE
    revision = 1 if before is None else before.revision + 1
    return Given(response.score, response.comment, response.source, tuple(answers), response.categories, revision)


def same(one: Given, other: Given) -> bool:
    """Return whether two responses have the same content, however they came."""
    return (one.score, one.comment, one.answers) == (other.score, other.comment, other.answers)
