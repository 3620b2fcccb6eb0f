"""Conversion between protobuf and domain: the parts that all of feedback shares. Input that cannot be understood raises
`Untranslatable`; nothing is guessed.

Commands and records of the survey lane: `translate_survey`; the configured surveys: `translate_programme`; counting:
`translate_counting` and `translate_scores`.
"""

from typing import Final

from google.protobuf.message import DecodeError, Message

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka.records import Record
from services.chassis.privacy.sealing import DataKey, Keys, Unsealable, unseal
from services.policy.model.automatic import automatic_kind
from services.policy.model.surveys import Subject

MAX_RECORD_BYTES: Final = 256 << 10
LATEST_MS: Final = 4_102_444_800_000 * 8
"""Year 3010: the sum of two such times is still a date."""


class Untranslatable(ValueError):  # noqa: N818 - a verdict about the input
    """A message that this service cannot act upon. The text names the field, never its content."""


def opened_record(record: Record, keys: Keys) -> pb.FeedbackRecord:
    """Return a record of feedback.responses.v1 with its texts; without them if the person is erased."""
    found = parse_record(record.value)
    unsealed(found, keys, record)
    return found


def unsealed(message: pb.FeedbackCommand | pb.FeedbackRecord, keys: Keys, record: Record) -> DataKey | None:
    """Decrypt the texts of a message in place. Returns their key."""
    try:
        return unseal(message, keys, record.topic, record.key or b"")
    except Unsealable as error:
        raise Untranslatable(str(error)) from error


def parse_record(raw: bytes | None) -> pb.FeedbackRecord:
    """Return a record of feedback.responses.v1 with its texts still encrypted."""
    record = pb.FeedbackRecord()
    parse(record, raw)
    return record


def parse(message: pb.FeedbackCommand | pb.FeedbackRecord, raw: bytes | None) -> None:
    """Fill the message from a record's value."""
    if raw is None:
        raise Untranslatable("the record has no value")
    if len(raw) > MAX_RECORD_BYTES:
        raise Untranslatable(f"the record has {len(raw)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise Untranslatable("the record is not a message of its schema") from error
    check_times(message)


def check_times(message: Message) -> None:
    """Raise Untranslatable for a time or a duration out of the calendar's range, anywhere in the message.

    Times are kept and converted to dates later, when there is no record left to refuse.
    """
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                continue  # maps of feedback hold texts and counts
            for inner in value if field.is_repeated else (value,):
                check_times(inner)
        elif field.name.endswith("_ms") and not 0 <= value <= LATEST_MS:
            raise Untranslatable(f"{field.name} is out of range")


def subject(message: pb.Subject, person_id: str) -> Subject:
    """Convert a subject. Its person must be the record's key: a command for one person must not name another."""
    if message.person_id and message.person_id != person_id:
        raise Untranslatable("subject.person_id is not the record's person")
    if not message.interaction_id:
        raise Untranslatable("subject.interaction_id is empty")
    return Subject(
        interaction_id=message.interaction_id,
        conversation_id=message.conversation_id,
        person_id=person_id,
        identity_id=message.identity_id,
        channel=message.channel,
        queue=message.queue,
        agent_id=message.agent_id,
        language=message.language,
        labels=dict(message.labels),
        agent_ids=tuple(message.agent_ids),
        config_version=message.config_version,
        skills=tuple(message.skills),
        automatic=automatic_kind(message.automatic),
    )


def subject_message(about: Subject) -> pb.Subject:
    """Convert a subject to a message."""
    return pb.Subject(
        interaction_id=about.interaction_id,
        conversation_id=about.conversation_id,
        person_id=about.person_id,
        identity_id=about.identity_id,
        channel=about.channel,
        queue=about.queue,
        agent_id=about.agent_id,
        language=about.language,
        labels=dict(about.labels),
        agent_ids=about.agent_ids,
        config_version=about.config_version,
        skills=about.skills,
        automatic=types_pb2.AutomaticKind.ValueType(about.automatic),
    )
