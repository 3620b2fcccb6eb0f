"""Writes each effect of the sending core as a record of its topic, with the personal fields sealed; and counts what it means."""

from collections import Counter
from typing import assert_never

from services.chassis.ids import derive
from services.chassis.kafka.deadletters import DEAD_LETTERS
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import Outbox
from services.chassis.keys import tenant_key
from services.chassis.privacy.sealing import DataKey, bare, seal
from services.ingest.domain import deliveries as words
from services.ingest.domain.attempts import AttemptJob, Attempts
from services.ingest.domain.deliveries import SenderConversation
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.lanes.intake_outputs import COMMANDS, FEEDBACK
from services.ingest.lanes.outbound_records import TOPIC
from services.ingest.translate import headers
from services.ingest.translate import sender as translate
from services.ingest.translate.headers import CONVERSATIONS, DELIVERIES, INBOUND
from services.ingest.translate.lanes import routing_key

_LANE = "ingest-sender"


class SenderOutputs:
    """Writes the effects of one partition. `counted`: where it counts, by name and labels."""

    def __init__(self, partition: int, attempts: Attempts, counted: Counter[tuple[str, ...]]) -> None:
        self._partition = partition
        self._attempts = attempts
        self._counted = counted

    def write_erased(
        self, conversation: SenderConversation, changed: words.DeliveryChanged, outbox: Outbox, now_ms: int
    ) -> None:
        """Write the last state of a delivery whose person is erased, without personal data."""
        key = tenant_key(conversation.tenant, conversation.conversation_id)
        said = translate.delivery_record(conversation, changed, now_ms, derive)
        outbox.send(DELIVERIES, key, bare(said), headers.of_delivery(said))

    def write(
        self, conversation: SenderConversation, effect: words.Effect, outbox: Outbox, own: DataKey, now_ms: int
    ) -> None:
        """Write one effect, sealed with `own`."""
        tenant = conversation.tenant
        key = tenant_key(tenant, conversation.conversation_id)
        channel = conversation.route.identity.channel if conversation.route is not None else ""
        match effect:
            case words.DeliveryChanged():
                changed = translate.delivery_record(conversation, effect, now_ms, derive)
                outbox.send(DELIVERIES, key, seal(changed, own, DELIVERIES, key), headers.of_delivery(changed))
                if effect.verdict is not None:
                    self._counted["outcomes", tenant, channel, effect.state.name, effect.reason] += 1
                if effect.state is DeliveryState.UNKNOWN and channel:
                    self._counted["unknown", tenant, channel] += 1
            case words.ReplyOutcomeChanged():
                command = translate.reply_outcome_command(conversation, effect, now_ms, derive)
                named = record_headers(COMMANDS, command.command_id, tenant)
                outbox.send(COMMANDS, routing_key(tenant, command.pool), command.SerializeToString(), named)
            case words.InvitationFailed():
                failed = translate.undeliverable_command(conversation, effect, now_ms, derive)
                named = record_headers(FEEDBACK, failed.command_id, tenant)
                outbox.send(FEEDBACK, tenant_key(tenant, failed.person_id), failed.SerializeToString(), named)
            case words.MessageRecorded():
                sent = translate.sent_message(conversation, effect, now_ms, derive)
                outbox.send(CONVERSATIONS, key, seal(sent, own, CONVERSATIONS, key), headers.of_conversation(sent))
            case words.GivenUp():
                asked = seal(translate.asked_record(conversation, effect.delivery), own, TOPIC, key)
                letter = translate.dead_letter(
                    conversation, effect.delivery, asked, effect.reason, _LANE, self._partition, now_ms
                )
                named = record_headers(DEAD_LETTERS, effect.delivery.delivery_id, tenant)
                outbox.send(DEAD_LETTERS, key, letter.SerializeToString(), named)
                self._counted["dead_letters", tenant, channel, effect.reason] += 1
            case words.DeliveryNoticed():
                notice = translate.delivery_notice(conversation, effect, now_ms)
                of_customer = tenant_key(tenant, effect.route.identity.identity_id)
                outbox.send(INBOUND, of_customer, notice.SerializeToString(), headers.of_inbound(notice))
            case words.ReportUnmatched():
                self._counted["reports_unmatched", tenant, channel] += 1
            case words.Attempt():
                job = AttemptJob(tenant, conversation.conversation_id, effect.delivery, effect.route)
                outbox.after_commit(lambda: self._attempts.submit(job))
            case _:
                assert_never(effect)
