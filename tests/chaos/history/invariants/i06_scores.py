"""I6: one counted answer per invitation, and the aggregates equal the fold of the raw answers.

- Each invitation is created once and answered once; an amendment has the next revision, and replaces what counted before.
- For each partition of the responses, the newest score of the group "all" and of all time equals the invitations and
  scores of the records below its `next_offset`, and after the drain no later record changes it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from tests.chaos.history.history import History
from tests.chaos.history.model import Violation

NAME = "I6"
Group = tuple[str, int, int]
"""Tenant, partition and kind of survey."""
Change = tuple[int, int, Counter[int]]
"""Offset, change of the number of invitations, changes of the numbers of scores."""


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    yield from _answers(history)
    yield from _aggregates(history)


def _answers(history: History) -> Iterator[Violation]:
    created = Counter[str]()
    revisions: dict[str, list[int]] = defaultdict(list)
    for logged in history.topics.responses:
        record = logged.value
        match record.WhichOneof("record"):
            case "invited":
                created[record.invited.invitation_id] += 1
            case "answered":
                revisions[record.answered.invitation_id].append(record.answered.revision)
            case "amended":
                revisions[record.amended.response.invitation_id].append(record.amended.response.revision)
    for invitation, count in created.items():
        if count > 1:
            yield Violation(NAME, "doubled", f"invitation {invitation}", f"it was created {count} times")
    for invitation, found in revisions.items():
        if found != list(range(1, len(found) + 1)):
            yield Violation(NAME, "doubled", f"response to {invitation}", f"revisions {found}")
        if invitation not in created:
            yield Violation(NAME, "no invitation", f"response to {invitation}")


def _aggregates(history: History) -> Iterator[Violation]:
    changes = _changes(history)
    newest: dict[Group, feedback_pb2.ScoreRecord] = {}
    for logged in history.topics.scores:
        score = logged.value
        if score.dimension.name == "all" and not score.dimension.value and not score.dimension.day:
            newest[score.dimension.tenant, score.partition, score.dimension.kind] = score
    for group in newest.keys() | changes.keys():
        subject = f"scores of {group[0]}, partition {group[1]}, kind {group[2]}"
        score = newest.get(group, feedback_pb2.ScoreRecord())
        below = [change for change in changes.get(group, []) if change[0] < score.next_offset]
        histogram = Counter[int]()
        for _, _, scores in below:
            histogram.update(scores)
        folded = {value: count for value, count in histogram.items() if count}
        invited = sum(change[1] for change in below)
        if (invited, folded) != (score.invited, dict(score.histogram)):
            detail = f"{score.invited} invited, {dict(score.histogram)}; folded {invited}, {folded}"
            yield Violation(NAME, "fold differs", subject, detail)
        if len(below) < len(changes.get(group, [])) and history.must_be_drained:
            yield Violation(NAME, "not counted", subject, f"{len(changes[group]) - len(below)} records")


def _changes(history: History) -> dict[Group, list[Change]]:
    found: dict[Group, list[Change]] = defaultdict(list)
    for logged in history.topics.responses:
        record, (_, partition, offset) = logged.value, logged.record.place
        per_kind: dict[int, Counter[int]] = defaultdict(Counter)
        invited = Counter[int]()
        match record.WhichOneof("record"):
            case "invited":
                invited[record.invited.kind] += 1
            case "withdrawn":
                invited[record.withdrawn.invitation.kind] -= 1
            case "answered":
                _count(per_kind, record.answered, 1)
            case "amended":
                _count(per_kind, record.amended.before, -1)
                _count(per_kind, record.amended.response, 1)
        for kind in per_kind.keys() | invited.keys():
            if kind != config_pb2.SURVEY_KIND_TEXT:
                found[record.tenant, partition, kind].append((offset, invited[kind], per_kind[kind]))
    return found


def _count(per_kind: dict[int, Counter[int]], response: feedback_pb2.ResponseCounted, by: int) -> None:
    per_kind[response.kind][response.score] += by
    for answer in response.answers:
        if answer.question_id:  # the first question is in the response itself
            per_kind[answer.kind][answer.score] += by
