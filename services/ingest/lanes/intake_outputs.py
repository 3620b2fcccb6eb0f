"""Writes each effect of the intake core as a record of its topic, with the personal fields sealed."""

from typing import Final, assert_never

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import InvalidRecord, Outbox
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import DataKey, Keys, bare, seal
from services.ingest.domain import effects
from services.ingest.domain.effects import Passing
from services.ingest.domain.reasons import Reason
from services.ingest.lanes.inbound_records import TOPIC
from services.ingest.translate import headers, persons, reports
from services.ingest.translate import lanes as translate
from services.ingest.translate.erasure import erase_command, outcome_record
from services.ingest.translate.fetches import fetch_record
from services.ingest.translate.forwarding import mark_checked, pass_message
from services.ingest.translate.headers import CONVERSATIONS, FETCHES, OUTBOUND, OUTCOMES
from services.ingest.translate.keys import owner_of
from services.ingest.translate.opt_outs import opt_out_records

COMMANDS: Final = "routing.commands.v1"
FEEDBACK: Final = "feedback.commands.v1"


class IntakeOutputs:
    """Writes effects. Holds no state."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def write(
        self,
        effect: effects.Effect,
        tenant: str,
        outbox: Outbox,
        inbound: records_pb2.InboundRecord | None,
        own: DataKey | None,
        now_ms: int,
    ) -> None:
        """Write one effect, sealed with `own`. `inbound`: the record that caused it, needed for effects that forward it."""
        match effect:
            case (
                effects.ConversationStarted()
                | effects.MessageRecorded()
                | effects.InteractionStarted()
                | effects.InteractionEnded()
                | effects.ConversationForgotten()
            ):
                record = translate.conversation_record(effect, tenant, now_ms, derive)
                key = tenant_key(tenant, effect.conversation_id or record.identity_id)
                named = headers.of_conversation(record)
                if isinstance(effect, effects.ConversationStarted | effects.MessageRecorded):
                    outbox.send(CONVERSATIONS, key, seal(record, there(own), CONVERSATIONS, key), named)
                else:
                    outbox.send(CONVERSATIONS, key, record.SerializeToString(), named)
                if isinstance(effect, effects.ConversationForgotten) and effect.conversation_id:
                    forgotten = records_pb2.OutboundRecord(
                        tenant=tenant, conversation_id=effect.conversation_id, route=records_pb2.ReplyRoute()
                    )
                    forgotten.route.erased_by = effect.request_id
                    outbox.send(OUTBOUND, key, forgotten.SerializeToString(), headers.of_outbound(forgotten))
            case effects.FetchAsked():
                fetch = fetch_record(effect, tenant)
                key = tenant_key(tenant, effect.conversation_id)
                outbox.send(FETCHES, key, seal(fetch, there(own), FETCHES, key), headers.of_fetch(fetch))
            case effects.RouteKnown():
                known = records_pb2.OutboundRecord(
                    tenant=tenant,
                    conversation_id=effect.conversation_id,
                    route=translate.route_record(effect.route, only_if_missing=effect.only_if_missing),
                )
                key = tenant_key(tenant, effect.conversation_id)
                outbox.send(OUTBOUND, key, seal(known, there(own), OUTBOUND, key), headers.of_outbound(known))
            case effects.SendAsked():
                asked = records_pb2.OutboundRecord(
                    tenant=tenant,
                    conversation_id=effect.conversation_id,
                    request=translate.request_record(effect.request, tenant),
                )
                key = tenant_key(tenant, effect.conversation_id)
                outbox.send(OUTBOUND, key, seal(asked, there(own), OUTBOUND, key), headers.of_outbound(asked))
            case effects.ReportPassed():
                stated = reports.outbound_report(tenant, effect.conversation_id, effect.channel, effect.report)
                key = tenant_key(tenant, effect.conversation_id)
                personal = bool(effect.report.native_id) and own is not None
                value = seal(stated, there(own), OUTBOUND, key) if personal else bare(stated)
                outbox.send(OUTBOUND, key, value, headers.of_outbound(stated))
            case effects.Enqueue() | effects.TellMessaged() | effects.TellLeft():
                command = translate.routing_command(effect, tenant, now_ms, derive)
                key = translate.routing_key(tenant, effect.pool)
                named = record_headers(COMMANDS, command.command_id, tenant)
                outbox.send(COMMANDS, key, command.SerializeToString(), named)
            case effects.AnswerGiven():
                answer = translate.answer_command(effect, tenant, now_ms, derive)
                named = record_headers(FEEDBACK, answer.command_id, tenant)
                outbox.send(FEEDBACK, tenant_key(tenant, effect.person_id), answer.SerializeToString(), named)
            case effects.Forwarded():
                assert inbound is not None
                self._forward(inbound, effect, tenant, own, outbox)
            case effects.LinkConfirmed():
                assert inbound is not None
                confirmed = records_pb2.InboundRecord()
                confirmed.CopyFrom(inbound)
                confirmed.link.home_identity_id, confirmed.link.confirmed = effect.home_identity_id, True
                confirmed.link.opt_outs.extend(opt_out_records(effect.opt_outs))
                confirmed.link.preferred_channel = effect.preferred_channel
                self._pass_on(confirmed, tenant, effect.identity_id, own, outbox)
            case (
                effects.JoinClaimed()
                | effects.JoinConfirmed()
                | effects.PreferencesShared()
                | effects.SenderBlockAsked()
            ):
                self._tell_lane(effect, tenant, own, outbox, now_ms)
            case effects.IdentityMoved() | effects.PreferencesSet():
                told, personal = persons.record_of_a_person(effect, tenant, now_ms)
                key = tenant_key(tenant, effect.identity_id)
                value = seal(told, there(own), CONVERSATIONS, key) if personal else told.SerializeToString()
                outbox.send(CONVERSATIONS, key, value, headers.of_conversation(told))
            case effects.PersonForgotten():
                erase = erase_command(effect, tenant, now_ms, derive)
                named = record_headers(FEEDBACK, erase.command_id, tenant)
                outbox.send(FEEDBACK, tenant_key(tenant, effect.person_id), erase.SerializeToString(), named)
                done = outcome_record(effect.request_id, tenant, "intake", effect.identity_id, effect.counts, now_ms)
                outbox.send(OUTCOMES, effect.request_id.encode(), done.SerializeToString(), headers.of_outcome(done))
            case _:
                assert_never(effect)

    def _forward(
        self,
        inbound: records_pb2.InboundRecord,
        effect: effects.Forwarded,
        tenant: str,
        own: DataKey | None,
        outbox: Outbox,
    ) -> None:
        further = records_pb2.InboundRecord()
        further.CopyFrom(inbound)
        further.hops += 1
        if effect.checked:
            mark_checked(further)
        if further.HasField("message"):
            pass_message(further.message, effect.passing, derive)
        if effect.passing is Passing.ANSWERED:
            own = self._keys.current(tenant, effect.identity_id)  # the message is theirs from now on
        self._pass_on(further, tenant, effect.identity_id, own, outbox)

    def _tell_lane(
        self,
        effect: effects.JoinClaimed | effects.JoinConfirmed | effects.PreferencesShared | effects.SenderBlockAsked,
        tenant: str,
        own: DataKey | None,
        outbox: Outbox,
        now_ms: int,
    ) -> None:
        """Write a record of our own to another identity's lane."""
        told, identity_id = persons.record_for_a_lane(effect, tenant, now_ms)
        key = tenant_key(tenant, identity_id)
        value = seal(told, there(own), TOPIC, key) if persons.has_preferences(told) else bare(told)
        outbox.send(TOPIC, key, value, headers.of_inbound(told))

    def _pass_on(
        self,
        further: records_pb2.InboundRecord,
        tenant: str,
        identity_id: str,
        own: DataKey | None,
        outbox: Outbox,
    ) -> None:
        """Forward to another identity's lane. The record is sealed again, because a sealed part is bound to its
        record's key."""
        key = tenant_key(tenant, identity_id)
        sealed = seal(further, there(own), TOPIC, key) if owner_of(further) else further.SerializeToString()
        outbox.send(TOPIC, key, sealed, headers.of_inbound(further))


def there(key: DataKey | None) -> DataKey:
    """Return the person's key, which must exist: messages come with a key, and stored state has one."""
    if key is None:
        raise InvalidRecord(Reason.NO_PERSONAL_KEY, "there is no key to seal this person's data with")
    return key
