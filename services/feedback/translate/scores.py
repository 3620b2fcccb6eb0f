"""Conversion of records of feedback.responses.v1 to score observations, and of score histograms to records of
feedback.scores.v1 and back.

On the topic, first contacts are entries of kind CSAT with names "contacts.…", and the progress of a partition is an
entry without a tenant. A version from before these entries existed skips both instead of failing.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.domain.estimates import Estimate
from services.feedback.domain.scores import Dimension, Observation, ScoreCounts, Tally, groups_of
from services.feedback.translate.records import Untranslatable
from services.policy.model.surveys import SCALES, SurveyKind
from services.policy.reading.surveys import kind, kind_message

PROGRESS: Final = Dimension("", SurveyKind.CSAT, "progress")
_CONTACTS: Final = "contacts."


def observation(record: pb.FeedbackRecord) -> Observation | None:
    """Return what a record adds to the scores; None for records that add nothing."""
    match record.WhichOneof("record"):
        case "invited":
            invited = record.invited
            asked = _scaled(invited.kind)
            if asked is None:
                return None  # free text alone has no score, so the invitation counts for no response rate
            return _observed(record, invited.subject, invited.day, invited.send_at_ms, (Tally(asked),))
        case "withdrawn":
            # The invitation was not sent, or did not arrive, so the count from its creation is subtracted again.
            gone = record.withdrawn.invitation
            asked = _scaled(gone.kind)
            if asked is None:
                return None
            return _observed(record, gone.subject, gone.day, gone.send_at_ms, (Tally(asked, by=-1),))
        case "answered":
            return _answered(record, record.answered, tuple(_tallies(record.answered, 1)))
        case "amended":
            both = (*_tallies(record.amended.before, -1), *_tallies(record.amended.response, 1))
            return _answered(record, record.amended.response, both)
        case "settled":
            settled = record.settled
            tally = Tally(None, int(settled.resolved))
            return _observed(record, settled.subject, settled.day, settled.first_at_ms, (tally,))
        case _:
            return None


def _answered(record: pb.FeedbackRecord, response: pb.ResponseCounted, tallies: tuple[Tally, ...]) -> Observation:
    return _observed(record, response.subject, response.day, response.asked_at_ms, tallies)


def _observed(
    record: pb.FeedbackRecord, about: pb.Subject, day: str, at_ms: int, tallies: tuple[Tally, ...]
) -> Observation:
    agents = list(about.agent_ids) or ([about.agent_id] if about.agent_id else [])
    groups = groups_of(about.channel, about.queue, agents, about.skills, about.labels.get("tier", ""), about.language)
    return Observation(record.tenant, groups, day, at_ms, tallies)


def _tallies(response: pb.ResponseCounted, by: int) -> Iterator[Tally]:
    """Yield a tally for each question under its own kind; of two questions of one kind, each counts. Free text has
    no scale and counts in categories only."""
    categories = tuple(response.categories)
    first = _scaled(response.kind)
    if first is not None and response.score in SCALES[first]:
        yield Tally(first, response.score, by, first=True, categories=categories)
    for answer in response.answers:
        found = _scaled(answer.kind)
        # A survey's first question is in the response's own fields already.
        if answer.question_id and found is not None and answer.score in SCALES[found]:
            yield Tally(found, answer.score, by, first=False, categories=categories)


def _scaled(value: int) -> SurveyKind | None:
    """Return a kind with a scale; None for free text. Raises Untranslatable for an unknown kind."""
    found = kind(value)
    if found is None and value != config.SURVEY_KIND_TEXT:
        raise Untranslatable("the kind of a question is unknown")
    return found if found in SCALES else None


def dimension_message(dimension: Dimension) -> pb.Dimension:
    """Return a dimension in the API's form: first contacts have no kind."""
    return pb.Dimension(
        tenant=dimension.tenant,
        kind=kind_message(dimension.kind) if dimension.kind is not None else config.SURVEY_KIND_UNSPECIFIED,
        name=dimension.name,
        value=dimension.value,
        day=dimension.day,
    )


def score_key(dimension: Dimension, partition: int) -> bytes:
    """Return the key on feedback.scores.v1. Each part is preceded by its length, so that two different dimensions
    never give the same key."""
    dimension = _stored(dimension)
    assert dimension.kind is not None
    parts = (dimension.tenant, dimension.kind.value, dimension.name, dimension.day, str(partition), dimension.value)
    return "/".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")


def parse_score_key(key: bytes | None) -> tuple[Dimension, int]:
    """Return dimension and partition of a key: the only content of a deleted entry. Raises Untranslatable."""
    parts: list[str] = []
    try:
        rest = (key or b"").decode("utf-8", "surrogatepass")
        while rest:
            length, _, rest = rest.partition(":")
            parts.append(rest[: int(length)])
            rest = rest[int(length) + 1 :]
        tenant, kind_name, name, day, partition, value = parts
        return _loaded(Dimension(tenant, SurveyKind(kind_name), name, value, day)), int(partition)
    except ValueError as error:
        raise Untranslatable("not a key of feedback.scores.v1") from error


def score_record(dimension: Dimension, partition: int, counts: ScoreCounts, now_ms: int) -> pb.ScoreRecord:
    """Return a record of feedback.scores.v1."""
    return pb.ScoreRecord(
        dimension=dimension_message(_stored(dimension)),
        histogram=dict(counts.histogram),
        invited=counts.invited,
        computed_at_ms=now_ms,
        partition=partition,
        next_offset=counts.next_offset,
        responded=counts.responded,
    )


def progress_record(partition: int, next_offset: int, newest_ms: int, now_ms: int) -> pb.ScoreRecord:
    """Return the record of how far a partition has been read, under the key of PROGRESS."""
    record = score_record(PROGRESS, partition, ScoreCounts(next_offset=next_offset), now_ms)
    record.newest_ms = newest_ms
    return record


def parse_score(raw: bytes | None) -> tuple[Dimension, int, ScoreCounts]:
    """Decode a record of feedback.scores.v1: dimension (PROGRESS for the progress entry), partition, histograms."""
    dimension, partition, counts, _ = parse_entry(raw)
    return dimension, partition, counts


def parse_entry(raw: bytes | None) -> tuple[Dimension, int, ScoreCounts, int]:
    """As `parse_score`, with the time of the newest record, which only PROGRESS has."""
    record = pb.ScoreRecord()
    if raw is None:
        raise Untranslatable("the record has no value")
    try:
        record.ParseFromString(raw)
    except Exception as error:  # protobuf's own exception, which this module need not know
        raise Untranslatable("the record is not a message of its schema") from error
    found = kind(record.dimension.kind)
    if found is None:
        raise Untranslatable("dimension.kind is unknown")
    stored = record.dimension
    histogram = dict(record.histogram)
    # Before surveys had several questions, every response answered the first one.
    responded = record.responded if record.HasField("responded") else sum(histogram.values())
    counts = ScoreCounts(histogram, record.invited, record.next_offset, responded)
    return (
        _loaded(Dimension(stored.tenant, found, stored.name, stored.value, stored.day)),
        record.partition,
        counts,
        record.newest_ms,
    )


def estimate_into(message: "pb.Score", estimate: Estimate, rate: Estimate | None) -> None:
    """Write a figure and the response rate into a score."""
    for target, source in ((message.estimate, estimate), (message.response_rate, rate)):
        if source is None:
            continue
        target.value, target.n, target.low, target.high = source.value, source.n, source.low, source.high
        target.method = source.method


def _stored(dimension: Dimension) -> Dimension:
    if dimension.kind is not None:
        return dimension
    return replace(dimension, kind=SurveyKind.CSAT, name=_CONTACTS + dimension.name)


def _loaded(dimension: Dimension) -> Dimension:
    if not dimension.name.startswith(_CONTACTS):
        return dimension
    return replace(dimension, kind=None, name=dimension.name.removeprefix(_CONTACTS))
