"""The survey lane: feedback.commands.v1 in, feedback.responses.v1 out, state of invitations in feedback.state.v1.

Event ids name the event, not its time: an invitation is created, due, reminded, answered and expired at most once, so
`derive(invitation_id, word)` is the same after any repetition; an amendment names its revision too. The ids of skips
and refusals derive from their command. A command that the relay wrote twice has an effect once (`chassis.kafka.relayed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, assert_never

from google.protobuf.message import DecodeError

from chapar.common.v1.privacy_pb2 import ErasureOutcome
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import InvalidRecord, LaneContext, LaneSpec, Outbox, Processor, Record
from services.chassis.kafka.relayed import RelayedPlaces
from services.chassis.keys import split_key, tenant_key
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys, EntryKeys, Prepare
from services.chassis.privacy.sealing import DataKey, Keys, bare, is_erased, seal
from services.chassis.questions import answer_question
from services.feedback.domain import invitations as inv
from services.feedback.domain.categories import classify
from services.feedback.domain.invitation_policy import InvitationPolicy
from services.feedback.domain.reasons import Reason
from services.feedback.lanes.agents import InteractionAgents
from services.feedback.lanes.outcome_tracker import OutcomeTracker
from services.feedback.ports import Programmes
from services.feedback.translate import kept
from services.feedback.translate.records import Untranslatable, unsealed
from services.feedback.translate.survey import begun_or_ended, event_record, parse_command, read_command

SPEC: Final = LaneSpec(name="feedback", input="feedback.commands.v1", changelog=None, group="feedback")
OUTPUT: Final = "feedback.responses.v1"
VERDICTS: Final = "feedback.verdicts.v1"
OUTCOMES: Final = "personal.erasures.v1"
_REPEATED: Final = inv.RefusalReason.REPEATED
"""The same response again changes nothing: the person's response has already been counted."""
_RESULTS: Final = {
    inv.RefusalReason.ALREADY_ANSWERED: "repeated",
    inv.RefusalReason.REPEATED: "repeated",
    inv.RefusalReason.EXPIRED: "late",
    inv.RefusalReason.OUT_OF_SCALE: "invalid",
    inv.RefusalReason.INCOMPLETE: "invalid",
    inv.RefusalReason.UNKNOWN_INVITATION: "unknown",
}


class SurveyProcessor:
    """Decides invitations and responses of one partition."""

    def __init__(self, programmes: Programmes, metrics: Metrics, keys: Keys) -> None:
        self._programmes = programmes
        self._keys = keys
        self._entry_keys = EntryKeys(keys, SPEC.changelog_topic)
        self._erased = metrics.counter("chapar_personal_erased_total").labels("feedback")
        self._invitations = metrics.counter("chapar_feedback_invitations_total")
        self._responses = metrics.counter("chapar_feedback_responses_total")
        self._delivered = metrics.counter("chapar_feedback_delivered_total")
        self._policy = InvitationPolicy(derive)
        self._counting = OutcomeTracker(programmes.counting, metrics)
        self._agents = InteractionAgents()
        self._relayed = RelayedPlaces()
        self._now_ms = 0
        self._used: DataKey | None = None
        """The key of the current command's person."""

    def restore(self, key: bytes, value: bytes) -> None:
        if any(part.restore(key, value) for part in (self._counting, self._agents, self._relayed)):
            return
        opened = self._entry_keys.opened(key, value)
        if opened is not None:
            self._policy.restore(kept.decode(key, opened))

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See Processor. A restore leaves nothing uncertain: no effect here leaves Kafka."""
        for entry in self._entry_keys.erased:
            outbox.delete(entry)

    def begin(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def handle(self, record: Record, outbox: Outbox) -> None:
        if self._relayed.repeated(record):
            return
        try:
            key_tenant, person_id = split_key(record.key or b"")
        except ValueError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "a command must be keyed by its tenant and person") from error
        try:
            read = read_command(record.value)
        except Untranslatable as error:
            raise InvalidRecord(Reason.UNDECODABLE, str(error)) from error
        self._handle(record, read, key_tenant, person_id, outbox)
        self._relayed.handled(record)

    def _handle(
        self, record: Record, read: pb.FeedbackCommand, key_tenant: str, person_id: str, outbox: Outbox
    ) -> None:
        if self._agents.handle(read, key_tenant, outbox):
            self._counting.end(read, self._now_ms, outbox)
            self._note(read, person_id, outbox)
            return
        self._agents.complete(read)
        if read.consider.disposition and self._counting.disposition(read).spam:
            read.consider.subject.labels["spam"] = "true"
        if self._counting.handle(read, self._now_ms, outbox):
            self._note(read, person_id, outbox)
        else:
            self._decide(record, read, key_tenant, person_id, outbox)
        self._agents.forget_completed(read, outbox)

    def _note(self, read: pb.FeedbackCommand, person_id: str, outbox: Outbox) -> None:
        """Note that an interaction began or ended without a survey about it: surveys do not interrupt open ones."""
        command = begun_or_ended(read)
        if command is None:
            return
        self._used = None
        effects = self._policy.handle(command, self._programmes.of(command.tenant), self._now_ms)
        self._perform(effects, command.tenant, person_id, command.command_id, outbox)

    def _decide(
        self, record: Record, read: pb.FeedbackCommand, key_tenant: str, person_id: str, outbox: Outbox
    ) -> None:
        try:
            used = unsealed(read, self._keys, record)
            if is_erased(read):
                # The response of a person who was erased before it arrived here.
                self._count(outbox, self._erased.inc)
                if read.question_id:
                    unknown = inv.RefusalReason.UNKNOWN_INVITATION
                    answer_question(outbox, VERDICTS, read.tenant, read.question_id, unknown)
                return
            command = parse_command(read)
        except Untranslatable as error:
            raise InvalidRecord(Reason.UNDECODABLE, str(error)) from error
        if command.tenant != key_tenant:
            raise InvalidRecord(Reason.TENANT_MISMATCH, "the key belongs to another tenant")
        self._used = used or self._keys.current(command.tenant, person_id)
        if isinstance(command, inv.Erase):
            self._forget(command, outbox)
            return
        if isinstance(command, inv.Consider):
            command = replace(command, no_further_work=self._counting.disposition(read).no_further_work)
        if isinstance(command, inv.RecordResponse):
            if used is None and read.question_id:
                # The person has no key, so they never got an invitation: the edge has left the texts out.
                unknown = inv.RefusalReason.UNKNOWN_INVITATION
                answer_question(outbox, VERDICTS, read.tenant, read.question_id, unknown)
                return
            texts = [text for text in (command.comment, *(text for _, text in command.answers.values())) if text]
            rules = self._programmes.counting(command.tenant).categories
            # Here, not when the record is written: an amendment removes the categories that were once counted, whatever
            # the rules were.
            command = replace(command, categories=classify(texts, rules), person_id=person_id)
        effects = self._policy.handle(command, self._programmes.of(command.tenant), self._now_ms)
        question_id = read.question_id
        if question_id:
            refused = next((e.reason for e in effects if isinstance(e, inv.Refused) and e.reason is not _REPEATED), "")
            answer_question(outbox, VERDICTS, command.tenant, question_id, refused)
        self._perform(effects, command.tenant, person_id, command.command_id, outbox)
        if isinstance(command, inv.NoteSent) and effects:
            for effect in effects:
                if isinstance(effect, inv.Keep):
                    self._count(outbox, self._delivered.labels(command.tenant, effect.invitation.subject.channel).inc)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        self._used = None
        self._perform(self._policy.advance(now_ms, self._programmes.of), "", "", "", outbox)
        self._counting.advance(now_ms, outbox)

    def end(self, outbox: Outbox) -> None:
        self._relayed.save(outbox)

    def next_wakeup(self) -> int | None:
        wakeups = [at for at in (self._policy.next_wakeup(), self._counting.next_wakeup()) if at is not None]
        return min(wakeups, default=None)

    def _perform(self, effects: list[inv.Effect], tenant: str, person_id: str, command_id: str, outbox: Outbox) -> None:
        for effect in effects:
            match effect:
                case inv.Keep() | inv.Drop() | inv.KeepHistory() | inv.DropHistory() | inv.KeepOpen() | inv.DropOpen():
                    self._change(effect, outbox)
                case inv.Skipped(_, skip_reason):
                    self._report(effect, tenant, person_id, derive(command_id, "skipped"), outbox)
                    self._count(outbox, self._invitations.labels(tenant, "", skip_reason.value.lower()).inc)
                case inv.Refused(_, reason, channel):
                    self._report(effect, tenant, person_id, derive(command_id, "refused"), outbox)
                    self._count(outbox, self._responses.labels(tenant, channel, _RESULTS[reason]).inc)
                case inv.Created(made):
                    self._report_about(effect, made, "created", outbox)
                    self._count(outbox, self._invitations.labels(made.tenant, made.subject.channel, "created").inc)
                case inv.Due(made):
                    self._report_about(effect, made, "due", outbox)
                    self._count(outbox, self._invitations.labels(made.tenant, made.subject.channel, "due").inc)
                case inv.ReminderDue(made):
                    self._report_about(effect, made, "reminder", outbox)
                    self._count(outbox, self._invitations.labels(made.tenant, made.subject.channel, "reminder").inc)
                case inv.Withdrawn(made, withdrawal):
                    self._report_about(effect, made, "withdrawn", outbox)
                    self._count(
                        outbox,
                        self._invitations.labels(made.tenant, made.subject.channel, withdrawal.value.lower()).inc,
                    )
                case inv.Counted(invitation=made):
                    self._report_about(effect, made, "answered", outbox)
                    self._count(outbox, self._responses.labels(made.tenant, made.subject.channel, "counted").inc)
                case inv.Amended(made, given, _):
                    self._report_about(effect, made, f"amended.{given.revision}", outbox)
                    self._count(outbox, self._responses.labels(made.tenant, made.subject.channel, "amended").inc)
                case inv.Expired(made):
                    self._report_about(effect, made, "expired", outbox)
                    self._count(outbox, self._invitations.labels(made.tenant, made.subject.channel, "expired").inc)
                case _ as never:
                    assert_never(never)

    def _change(self, change: inv.StateChange, outbox: Outbox) -> None:
        match change:
            case inv.Keep(invitation):
                self._keep(invitation, outbox)
            case inv.Drop(invitation_id):
                outbox.delete(kept.invitation_key(invitation_id))
                self._entry_keys.forget(kept.invitation_key(invitation_id))
            case inv.KeepHistory(history):
                outbox.put(kept.history_key(*history.key), kept.encode(history))
            case inv.DropHistory(tenant, person_id):
                outbox.delete(kept.history_key(tenant, person_id))
            case inv.KeepOpen(interactions):
                outbox.put(kept.open_key(*interactions.key), kept.encode(interactions))
            case inv.DropOpen(tenant, person_id):
                outbox.delete(kept.open_key(tenant, person_id))
            case _ as never:
                assert_never(never)

    def _report_about(self, event: inv.Event, made: inv.Invitation, word: str, outbox: Outbox) -> None:
        self._report(event, made.tenant, made.subject.person_id, derive(made.invitation_id, word), outbox)

    def _report(self, event: inv.Event, tenant: str, person_id: str, event_id: str, outbox: Outbox) -> None:
        record = event_record(event, tenant, person_id, event_id, self._now_ms)
        key = tenant_key(tenant, person_id)
        outbox.send(OUTPUT, key, self._sealed(record, key), record_headers(OUTPUT, event_id, tenant))
        self._counting.follow(record, outbox)

    def _sealed(self, record: pb.FeedbackRecord, key: bytes) -> bytes:
        """Encrypt the texts of responses, both the current ones and those before an amendment."""
        if record.WhichOneof("record") not in ("answered", "amended"):
            return record.SerializeToString()
        own = self._used or self._keys.current(record.tenant, record.person_id)
        return seal(record, own, OUTPUT, key) if own is not None else bare(record)

    def _keep(self, invitation: inv.Invitation, outbox: Outbox) -> None:
        entry = kept.invitation_key(invitation.invitation_id)
        value = kept.encode(invitation)
        if invitation.given is None:
            outbox.put(entry, value)
            return
        own = self._entry_keys.choose(entry, self._used, invitation.tenant, (invitation.subject.person_id,))
        # If a person's key is destroyed, no text is kept; the command to forget the person is on its way.
        if own is not None:
            outbox.put(entry, self._entry_keys.sealed(entry, value, own))

    def _forget(self, command: inv.Erase, outbox: Outbox) -> None:
        effects, counts = self._policy.forget(command.tenant, command.person_id)
        self._perform(effects, command.tenant, command.person_id, command.command_id, outbox)
        counts["contacts"] = self._counting.forget(command.tenant, command.person_id, self._now_ms, outbox)
        erased = pb.FeedbackRecord(
            event_id=derive(command.command_id, "erased"),
            tenant=command.tenant,
            person_id=command.person_id,
            occurred_at_ms=self._now_ms,
            erased=pb.PersonalDataErased(request_id=command.request_id),
        )
        named = record_headers(OUTPUT, erased.event_id, erased.tenant)
        outbox.send(OUTPUT, tenant_key(erased.tenant, erased.person_id), erased.SerializeToString(), named)
        done = ErasureOutcome(
            request_id=command.request_id,
            tenant=command.tenant,
            store="feedback",
            part=command.person_id,
            counts=counts,
            occurred_at_ms=self._now_ms,
        )
        named = record_headers(
            OUTCOMES, derive("erasure", done.tenant, done.request_id, done.store, done.part), done.tenant
        )
        outbox.send(OUTCOMES, command.request_id.encode(), done.SerializeToString(), named)

    @staticmethod
    def _count(outbox: Outbox, increment: Callable[[], None]) -> None:
        # The decisions of an aborted batch did not happen.
        outbox.after_commit(increment)


def survey_factory(programmes: Programmes, metrics: Metrics, keys: Keys) -> Callable[[LaneContext], Processor]:
    """Return a factory for the processor of each partition."""

    def make(_context: LaneContext) -> Processor:
        return SurveyProcessor(programmes, metrics, keys)

    return make


def prepare(keys: AwaitedKeys) -> Prepare:
    """Return a step that runs before the survey lane sees records. It loads their keys, and gives a key to a person
    whose response came unencrypted, by a reply."""

    async def ready(records: Sequence[Record]) -> None:
        await keys.ready(record.value for record in records)
        for record in records:
            if record.topic == SPEC.input and record.value:
                try:
                    command = pb.FeedbackCommand.FromString(record.value)
                except DecodeError:
                    continue  # the lane refuses it
                asked = command.sealed or command.question_id
                if command.WhichOneof("command") == "response" and not asked and command.person_id:
                    await keys.ensure(command.tenant, command.person_id)

    return ready
