"""Every personal field of the contracts is marked, is moved out completely, and comes back to its place."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import (
    changelog_format_pb2,
    dead_letter_pb2,
    privacy_pb2,
    revocation_pb2,
    types_pb2,
    verdict_pb2,
    webhook_pb2,
)
from chapar.config.v1 import config_pb2, history_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import ingest_pb2, records_pb2
from chapar.router.v1 import records_pb2 as router_records_pb2
from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.privacy.fields import SEALED, has_personal, is_personal, move_back, move_out
from services.chassis.topics import TOPICS

FILES = (
    audit_pb2, changelog_format_pb2, config_pb2, dead_letter_pb2, feedback_pb2, history_pb2, ingest_pb2, privacy_pb2, records_pb2, revocation_pb2,
    router_pb2, router_records_pb2, sla_pb2, types_pb2, verdict_pb2, webhook_pb2,
)  # fmt: skip
SUSPICIOUS = frozenset(
    (
        *("text", "body", "subject", "raw", "comment", "words", "evidence", "reply_context"),
        *("native_id", "native_ids", "native_message_id", "in_reply_to", "migrated_to"),
        *(
            "author",
            "reply_to",
            "display_name",
            "first_name",
            "last_name",
            "phone",
            "email",
            "address",
            "sender",
            "recipient",
        ),
    )
)
"""Names of fields that usually contain personal data."""
NOT_PERSONAL = frozenset(
    {
        # The tenant's configuration: rules, and its own agents.
        "chapar.config.v1.CategoryRule.words",
        "chapar.config.v1.ClosingWords.words",
        "chapar.config.v1.AgentProfile.display_name",
        "chapar.config.v1.ApprovedTemplate.body",
        "chapar.ingest.v1.TemplateView.body",
        # Where results are sent; the subject of a token.
        "chapar.router.v1.RoutingCommand.reply_to",
        "chapar.common.v1.Revocation.subject",
        "chapar.audit.v1.AuditRecord.subject",
        "chapar.common.v1.Selector.text",
        # Names of signs, from a set in the code.
        "chapar.ingest.v1.Automatic.evidence",
        "chapar.ingest.v1.SuggestedIdentity.evidence",
        # The interaction that a survey is about: ids and configured words.
        "chapar.feedback.v1.ConsiderInvitation.subject",
        "chapar.feedback.v1.InviteNow.subject",
        "chapar.feedback.v1.RecordContact.subject",
        "chapar.feedback.v1.RecordRecovery.subject",
        "chapar.feedback.v1.InvitationCreated.subject",
        "chapar.feedback.v1.ResponseCounted.subject",
        "chapar.feedback.v1.InvitationExpired.subject",
        "chapar.feedback.v1.ContactSettled.subject",
        "chapar.feedback.v1.RecoveryDue.subject",
        "chapar.feedback.v1.RecoveryOpened.subject",
        "chapar.feedback.v1.InviteRequest.subject",
    }
)
RECORDS: Mapping[str, type[Message]] = {
    "inbound.v1": records_pb2.InboundRecord,
    "conversations.v1": records_pb2.ConversationRecord,
    "ingest.fetches.v1": records_pb2.FileFetch,
    "ingest.waiting-fetches.v1": records_pb2.FileFetch,
    "outbound.v1": records_pb2.OutboundRecord,
    "deliveries.v1": records_pb2.DeliveryRecord,
    "routing.commands.v1": router_records_pb2.RoutingCommand,
    "routing.events.v1": router_records_pb2.RoutingEvent,
    "routing.journal.v1": router_records_pb2.JournalRecord,
    "gateway.feed.v1": router_records_pb2.FeedRecord,
    "sla.events.v1": sla_pb2.SlaEvent,
    "sla.webhooks.v1": webhook_pb2.WebhookNotice,
    "feedback.commands.v1": feedback_pb2.FeedbackCommand,
    "feedback.responses.v1": feedback_pb2.FeedbackRecord,
    "feedback.webhooks.v1": webhook_pb2.WebhookNotice,
    "feedback.scores.v1": feedback_pb2.ScoreRecord,
    "config.v1": config_pb2.TenantConfiguration,
    "config.history.v1": history_pb2.ConfigurationVersion,
    "formats.v1": changelog_format_pb2.ChangelogFormat,
    "deadletters.v1": dead_letter_pb2.DeadLetter,
    "audit.v1": audit_pb2.AuditRecord,
    "ingest.verdicts.v1": verdict_pb2.Verdict,
    "feedback.verdicts.v1": verdict_pb2.Verdict,
    "revocations.v1": revocation_pb2.Revocation,
    "personal.keys.v1": privacy_pb2.PersonalKey,
    "personal.erasures.v1": privacy_pb2.ErasureOutcome,
}


def messages() -> Iterator[Descriptor]:
    line = [each for file in FILES for each in file.DESCRIPTOR.message_types_by_name.values()]
    while line:
        message = line.pop()
        line += message.nested_types
        if not message.GetOptions().map_entry:
            yield message


def comments() -> Iterator[tuple[str, str]]:
    """Yield full names of fields and the comments above them in the contracts."""
    root = Path(__file__).resolve().parents[4] / "protos"
    for path in root.rglob("*.proto"):
        package = ""
        names: list[str] = []
        comment: list[str] = []
        for line in path.read_text().splitlines():
            line = line.strip()
            if found := re.match(r"package ([\w.]+);", line):
                package = found[1]
            if line.startswith("//"):
                comment.append(line)
                continue
            if found := re.match(r"(message|enum|oneof|service|extend) ?([\w.]*) ?\{$", line):
                names.append(found[2] if found[1] == "message" else "")
            elif line.endswith("{"):
                names.append("")
            elif line == "}":
                names.pop()
            elif found := re.match(r"(?:repeated |optional )?[\w.<>, ]+ (\w+) = \d+", line):
                yield ".".join([package, *(name for name in names if name), found[1]]), " ".join(comment)
            comment = []


def test_every_field_with_a_personal_name_or_comment_is_marked() -> None:
    said = {
        name for name, comment in comments() if re.search(r"(?<!without )(?<!no )personal data", comment, re.IGNORECASE)
    }
    said -= {name for name in said if name.endswith((".erased", ".erase", ".sealed", ".personal"))}
    unmarked = [
        field.full_name
        for message in messages()
        for field in message.fields
        if (field.name in SUSPICIOUS or field.full_name in said)
        and not _covered(field)
        and field.full_name not in NOT_PERSONAL
    ]
    assert not unmarked
    assert "chapar.ingest.v1.Identity.native_id" in said, "the comments are read"


def _covered(field: FieldDescriptor) -> bool:
    return is_personal(field) or (field.message_type is not None and has_personal(field.message_type))


def test_every_topic_whose_records_have_personal_fields_can_seal_them() -> None:
    lanes = {name for name in TOPICS if name.endswith(".state.v1")}
    assert set(TOPICS) <= set(RECORDS) | lanes, "a new topic: check whether it contains personal data"
    for topic, record in RECORDS.items():
        sealed = record.DESCRIPTOR.fields_by_name.get(SEALED)
        assert (sealed is not None) == has_personal(record.DESCRIPTOR), topic
        if sealed is not None:
            assert sealed.number == privacy_pb2.SealedEnvelope.DESCRIPTOR.fields_by_name[SEALED].number, topic


def test_nothing_that_the_router_and_the_sla_service_read_is_personal() -> None:
    for record in (router_records_pb2.RoutingCommand, router_records_pb2.RoutingEvent, sla_pb2.SlaEvent):
        assert not has_personal(record.DESCRIPTOR)


def _filled(message: Any, draw: Any, depth: int = 0) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.name == SEALED or not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                for key, value in draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)).items():
                    try:
                        getattr(message, field.name)[key] = value
                    except TypeError:
                        break
        elif field.message_type is not None:
            if depth < 4:
                made = (
                    [getattr(message, field.name).add() for _ in range(draw(st.integers(0, 3)))]
                    if field.is_repeated
                    else [getattr(message, field.name)]
                )
                for each in made:
                    each.SetInParent()
                    _filled(each, draw, depth + 1)
        else:
            strategy: st.SearchStrategy[Any] = {
                FieldDescriptor.TYPE_STRING: st.text(max_size=4),
                FieldDescriptor.TYPE_BYTES: st.binary(max_size=4),
                FieldDescriptor.TYPE_BOOL: st.booleans(),
                FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
                FieldDescriptor.TYPE_ENUM: st.integers(0, 2),
            }.get(field.type, st.integers(0, 2**31 - 1))
            value = draw(st.lists(strategy, max_size=2) if field.is_repeated else strategy)
            if field.is_repeated:
                getattr(message, field.name).extend(value)
            else:
                setattr(message, field.name, value)


def _left(message: Message) -> list[str]:
    return [
        name
        for field, value in message.ListFields()
        for name in (
            [field.full_name]
            if is_personal(field)
            else []
            if field.message_type is None or field.message_type.GetOptions().map_entry
            else [n for each in value for n in _left(each)]
            if field.is_repeated
            else _left(value)
        )
    ]


@pytest.mark.parametrize("record", [each for each in RECORDS.values() if has_personal(each.DESCRIPTOR)])
@given(data=st.data())
def test_the_personal_part_goes_and_comes_back(record: type[Message], data: st.DataObject) -> None:
    message = record()
    _filled(message, data.draw)
    before = record()
    before.CopyFrom(message)
    part = record()
    move_out(message, part)
    assert not _left(message)
    move_back(part, message)
    assert message.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)
