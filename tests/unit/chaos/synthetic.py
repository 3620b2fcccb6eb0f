"""A synthetic history: the records that sound services would write about a few lives, and what their clients would see."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.history import derived_id
from tests.chaos.history.model import (
    Acknowledged,
    Arrival,
    Bounds,
    ClientView,
    ConfirmedCommand,
    ConfirmedReply,
    Evidence,
    LiveState,
    LogRecord,
)
from tests.unit.chaos.lives import Life

BEGIN_MS: Final = 1_800_000_000_000
AGENTS: Final = ("sara", "omid")
PARTITIONS: Final = 2
OFFER_MS: Final = 20_000
PICK_UP_MS: Final = 15_000
BOUNDS: Final = Bounds(offer_late_ms=1_000, deadline_late_ms=1_000, drain_ms=45_000)


@dataclass
class Synthetic:
    """Writes lives one after another; `evidence` is all of it."""

    now_ms: int = BEGIN_MS
    records: list[LogRecord] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    replies: list[ConfirmedReply] = field(default_factory=list)
    commands: list[ConfirmedCommand] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    _ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    _epochs: Counter[str] = field(default_factory=Counter)
    _numbers: Counter[str] = field(default_factory=Counter)
    _scores: dict[tuple[str, int], feedback_pb2.ScoreRecord] = field(default_factory=dict)
    _tenants: dict[str, None] = field(default_factory=dict)

    def put(self, topic: str, key: str, value: Any) -> int:
        """Append a record; returns its partition."""
        partition = zlib.crc32(key.encode()) % PARTITIONS
        offset = self._ends[topic, partition]
        self._ends[topic, partition] += 1
        tenant = key.partition("/")[0]
        headers = (("event-id", b"e"), ("tenant", tenant.encode()), ("lane-epoch", b"3"))
        self.records.append(
            LogRecord(topic, partition, offset, self.now_ms, key.encode(), value.SerializeToString(), headers)
        )
        return partition

    def live(self, life: Life) -> None:
        """Write one life from its first message to its survey."""
        if life.tenant not in self._tenants:
            self._tenants[life.tenant] = None
            self.put("config.v1", life.tenant, _configuration(life.tenant))
        _Writer(self, life).run()
        self.now_ms += 1_000

    def number(self, kind: str) -> int:
        """Return the next number of a kind of thing."""
        self._numbers[kind] += 1
        return self._numbers[kind]

    def epoch(self, interaction_id: str) -> int:
        """Return the number of the next event of an interaction."""
        self._epochs[interaction_id] += 1
        return self._epochs[interaction_id]

    def score(self, tenant: str, partition: int, change: int, score: int | None, before: int | None = None) -> None:
        """Write the aggregates after one more response record in this partition."""
        dimension = feedback_pb2.Dimension(tenant=tenant, kind=config_pb2.SURVEY_KIND_CSAT, name="all")
        known = self._scores.setdefault(
            (tenant, partition), feedback_pb2.ScoreRecord(dimension=dimension, partition=partition)
        )
        known.invited += change
        known.next_offset = self._ends["feedback.responses.v1", partition]
        if before is not None:
            known.histogram[before] -= 1
            if not known.histogram[before]:
                del known.histogram[before]
        if score is not None:
            known.histogram[score] += 1
        self.put("feedback.scores.v1", f"all/{tenant}/{partition}", known)

    def evidence(self) -> Evidence:
        """Return everything, read after the time to drain."""
        clients = ClientView(tuple(self.acknowledged), tuple(self.replies), tuple(self.commands), tuple(self.arrivals))
        nothing: dict[str, frozenset[str]] = {agent: frozenset() for agent in AGENTS}
        live = tuple(
            LiveState(tenant, frozenset(), nothing, nothing, dict.fromkeys(AGENTS, 0)) for tenant in self._tenants
        )
        read_at_ms = self.now_ms + BOUNDS.drain_ms + 20_000
        return Evidence(clients, tuple(self.records), self.now_ms, read_at_ms, live, bounds=BOUNDS)


class _Writer:
    """Writes one life."""

    def __init__(self, log: Synthetic, life: Life) -> None:
        self._log = log
        self._life = life
        number = log.number("life")
        self._agent = AGENTS[number % len(AGENTS)]
        self._customer = f"customer-{number}"
        self._identity = derived_id(life.tenant, self._customer)
        self._conversation = f"conversation-{number}"
        self._interaction = f"interaction-{number}"
        self._about = feedback_pb2.Subject(interaction_id=self._interaction, person_id=self._identity)
        self._key = f"{life.tenant}/{self._conversation}"
        self._targets: dict[config_pb2.TargetKind.ValueType, tuple[int, int]] = {}

    def run(self) -> None:
        self._message(opens=True)
        command = self._command(enqueue=router_pb2.Enqueue(interaction=self._attributes()))
        self._event(command, queued=router_pb2.InteractionQueued())
        self._deadline(config_pb2.TARGET_KIND_PICK_UP, PICK_UP_MS)
        self._deadline(config_pb2.TARGET_KIND_RESOLUTION, 3_600_000)
        if self._life.leaves:
            command = self._command(customer_left=router_pb2.CustomerLeft(interaction_id=self._interaction))
            self._event(command, abandoned=router_pb2.InteractionAbandoned())
            self._sla(config_pb2.TARGET_KIND_PICK_UP, sla_pb2.SLA_EVENT_KIND_CANCELLED)
            self._sla(config_pb2.TARGET_KIND_RESOLUTION, sla_pb2.SLA_EVENT_KIND_CANCELLED)
            self._close("abandoned")
            return
        self._offers()
        self._reply()
        if self._life.returns:
            self._return()
        for _ in range(self._life.writes_again):
            self._message(opens=False)
            self._reply()
        self._complete()
        self._survey()

    def _attributes(self) -> router_pb2.InteractionAttributes:
        return router_pb2.InteractionAttributes(
            interaction_id=self._interaction, conversation_id=self._conversation, channel="webchat", queue="sales"
        )

    def _message(self, *, opens: bool) -> None:
        log = self._log
        log.now_ms += 500
        mark = f"#cx-{log.number('mark')}"
        message_id = derived_id(self._identity, mark)
        message = ingest_pb2.CustomerMessage(message_id=message_id, text=f"hello {mark}", received_at_ms=log.now_ms)
        log.put(
            "inbound.v1",
            f"{self._life.tenant}/{self._identity}",
            ingest_pb2.InboundRecord(tenant=self._life.tenant, message=message),
        )
        number = len([m for m in log.acknowledged if m.customer == self._customer])
        log.acknowledged.append(Acknowledged(self._life.tenant, "webchat", self._customer, mark, number, log.now_ms))
        said = ingest_pb2.ConversationMessage(
            message_id=message_id, author_kind=types_pb2.ACTOR_KIND_CUSTOMER, text=message.text
        )
        self._conversation_record(message=said)
        if opens:
            opened = ingest_pb2.InteractionOpened(interaction_id=self._interaction, message_id=message_id)
            self._conversation_record(interaction_opened=opened)
            return
        again = router_pb2.CustomerMessaged(interaction_id=self._interaction, message_id=message_id)
        command = self._command(customer_messaged=again)
        recorded = router_pb2.CustomerMessageRecorded(message_id=message_id)
        self._event(command, customer_message_recorded=recorded)
        self._deadline(config_pb2.TARGET_KIND_NEXT_RESPONSE, 300_000)

    def _conversation_record(self, **record: Any) -> None:
        value = ingest_pb2.ConversationRecord(
            tenant=self._life.tenant,
            conversation_id=self._conversation,
            occurred_at_ms=self._log.now_ms,
            **record,
        )
        self._log.put("conversations.v1", self._key, value)

    def _command(self, **command: Any) -> str:
        self._log.now_ms += 10
        command_id = f"command-{self._log.number('command')}"
        value = router_pb2.RoutingCommand(
            command_id=command_id,
            tenant=self._life.tenant,
            pool="default",
            issued_at_ms=self._log.now_ms,
            **command,
        )
        self._log.put("routing.commands.v1", f"{self._life.tenant}/default", value)
        return command_id

    def _event(self, command: str = "", **event: Any) -> None:
        self._log.now_ms += 10
        value = router_pb2.RoutingEvent(
            event_id=f"event-{self._log.number('event')}",
            tenant=self._life.tenant,
            pool="default",
            command_id=command,
            occurred_at_ms=self._log.now_ms,
            epoch=self._log.epoch(self._interaction),
            interaction=self._attributes(),
            **event,
        )
        self._log.put("routing.events.v1", self._key, value)

    def _deadline(self, target: config_pb2.TargetKind.ValueType, length_ms: int) -> None:
        number = self._targets.get(target, (0, 0))[0] + 1
        self._targets[target] = (number, self._log.now_ms + length_ms)
        self._sla(target, sla_pb2.SLA_EVENT_KIND_DEADLINE_SET)

    def _sla(self, target: config_pb2.TargetKind.ValueType, kind: sla_pb2.SlaEventKind.ValueType, **more: Any) -> None:
        number, due_ms = self._targets[target]
        value = sla_pb2.SlaEvent(
            event_id=f"sla-{self._log.number('sla')}",
            tenant=self._life.tenant,
            interaction_id=self._interaction,
            conversation_id=self._conversation,
            target=target,
            epoch=number,
            kind=kind,
            desired_at_ms=due_ms,
            adequate_at_ms=due_ms,
            occurred_at_ms=self._log.now_ms,
            **more,
        )
        self._log.put("sla.events.v1", self._key, value)

    def _offers(self) -> None:
        log, agent = self._log, self._agent
        offer = self._offer()
        if self._life.first_offer == "accepted":
            self._accept(offer)
            self._sla(config_pb2.TARGET_KIND_PICK_UP, sla_pb2.SLA_EVENT_KIND_MET)
            return
        if self._life.first_offer == "declined":
            log.now_ms += 1_000
            command = self._command(decline_offer=router_pb2.DeclineOffer(agent_id=agent, offer_id=offer))
            log.commands.append(ConfirmedCommand("decline", agent, offer, log.now_ms))
            self._end_offer(command, offer, router_pb2.OFFER_END_DECLINED)
            offer = self._offer()
            self._accept(offer)
            self._sla(config_pb2.TARGET_KIND_PICK_UP, sla_pb2.SLA_EVENT_KIND_MET)
            return
        begun_ms = log.now_ms
        log.now_ms = self._targets[config_pb2.TARGET_KIND_PICK_UP][1] + 20
        for kind, level in (
            (sla_pb2.SLA_EVENT_KIND_DESIRED_PASSED, sla_pb2.SLA_LEVEL_DESIRED),
            (sla_pb2.SLA_EVENT_KIND_BREACHED, sla_pb2.SLA_LEVEL_ADEQUATE),
        ):
            self._sla(config_pb2.TARGET_KIND_PICK_UP, kind, level=level)
        log.now_ms = begun_ms + OFFER_MS
        self._end_offer("", offer, router_pb2.OFFER_END_EXPIRED)
        self._accept(self._offer())

    def _return(self) -> None:
        transfer = router_pb2.TransferInteraction(agent_id=self._agent, interaction_id=self._interaction, queue="sales")
        command = self._command(transfer_interaction=transfer)
        self._event(command, transferred=router_pb2.InteractionTransferred(from_agent_id=self._agent, queue="sales"))
        self._event(command, queued=router_pb2.InteractionQueued(again=True))
        self._deadline(config_pb2.TARGET_KIND_PICK_UP, PICK_UP_MS)
        self._accept(self._offer())
        self._sla(config_pb2.TARGET_KIND_PICK_UP, sla_pb2.SLA_EVENT_KIND_MET)

    def _offer(self) -> str:
        offer = f"{self._interaction}.{self._log._epochs[self._interaction] + 1}"
        expires_ms = self._log.now_ms + 10 + OFFER_MS
        offered = router_pb2.InteractionOffered(agent_id=self._agent, offer_id=offer, expires_at_ms=expires_ms)
        self._event("", offered=offered)
        return offer

    def _end_offer(self, command: str, offer: str, end: router_pb2.OfferEnd.ValueType) -> None:
        self._event(command, offer_ended=router_pb2.OfferEnded(agent_id=self._agent, offer_id=offer, end=end))

    def _accept(self, offer: str) -> None:
        self._log.now_ms += 700
        command = self._command(accept_offer=router_pb2.AcceptOffer(agent_id=self._agent, offer_id=offer))
        self._event(command, assigned=router_pb2.InteractionAssigned(agent_id=self._agent, offer_id=offer))
        self._log.commands.append(ConfirmedCommand("accept", self._agent, offer, self._log.now_ms))

    def _reply(self) -> None:
        log, tenant = self._log, self._life.tenant
        log.now_ms += 1_500
        mark = f"#rx-{log.number('reply')}"
        request_id = f"reply-{mark}"
        delivery = derived_id(tenant, request_id)
        request = ingest_pb2.OutboundRequest(request_id=request_id, text=f"yes {mark}", requested_at_ms=log.now_ms)
        log.put(
            "outbound.v1",
            self._key,
            ingest_pb2.OutboundRecord(tenant=tenant, conversation_id=self._conversation, request=request),
        )
        recorded = router_pb2.RecordReply(agent_id=self._agent, interaction_id=self._interaction, reply_id=request_id)
        command = self._command(record_reply=recorded)
        self._event(command, agent_replied=router_pb2.AgentReplied(agent_id=self._agent, reply_id=request_id))
        log.replies.append(ConfirmedReply(tenant, self._agent, self._interaction, mark, log.now_ms))
        number = self._targets.get(config_pb2.TARGET_KIND_NEXT_RESPONSE)
        if number is not None:
            self._sla(config_pb2.TARGET_KIND_NEXT_RESPONSE, sla_pb2.SLA_EVENT_KIND_MET)
        for state in (ingest_pb2.DELIVERY_STATE_ATTEMPTING, ingest_pb2.DELIVERY_STATE_SENT):
            outcome = ingest_pb2.DeliveryRecord(
                delivery_id=delivery,
                tenant=tenant,
                conversation_id=self._conversation,
                state=state,
                occurred_at_ms=log.now_ms,
            )
            log.put("deliveries.v1", self._key, outcome)
        said = ingest_pb2.ConversationMessage(
            message_id=delivery, author_kind=types_pb2.ACTOR_KIND_AGENT, text=request.text
        )
        self._conversation_record(message=said)
        log.arrivals.append(Arrival(tenant, "webchat", self._customer, mark, log.now_ms))

    def _complete(self) -> None:
        log = self._log
        done = router_pb2.CompleteInteraction(agent_id=self._agent, interaction_id=self._interaction)
        command = self._command(complete_interaction=done)
        until_ms = log.now_ms + 10_000 if self._life.wraps_up else 0
        self._event(command, completed=router_pb2.InteractionCompleted(agent_id=self._agent, wrap_up_until_ms=until_ms))
        log.commands.append(ConfirmedCommand("complete", self._agent, self._interaction, log.now_ms))
        self._sla(config_pb2.TARGET_KIND_RESOLUTION, sla_pb2.SLA_EVENT_KIND_MET)
        if until_ms:
            log.now_ms = until_ms
            self._event("", wrap_up_ended=router_pb2.WrapUpEnded(agent_id=self._agent))
        self._close("completed")

    def _close(self, outcome: str) -> None:
        closed = ingest_pb2.InteractionClosed(interaction_id=self._interaction, outcome=outcome)
        self._conversation_record(interaction_closed=closed)

    def _survey(self) -> None:
        life = self._life
        invitation = f"invitation-of-{self._interaction}"
        invited = feedback_pb2.InvitationCreated(
            invitation_id=invitation, kind=config_pb2.SURVEY_KIND_CSAT, subject=self._about
        )
        self._log.score(life.tenant, self._response(invited=invited), 1, None)
        if life.score is None:
            return
        first = feedback_pb2.ResponseCounted(
            invitation_id=invitation, kind=config_pb2.SURVEY_KIND_CSAT, score=life.score, revision=1
        )
        given = feedback_pb2.RecordResponse(invitation_id=invitation, score=life.score)
        self._log.put(
            "feedback.commands.v1",
            f"{life.tenant}/{self._identity}",
            feedback_pb2.FeedbackCommand(tenant=life.tenant, person_id=self._identity, response=given),
        )
        self._log.score(life.tenant, self._response(answered=first), 0, life.score)
        if life.amends:
            second = feedback_pb2.ResponseCounted()
            second.CopyFrom(first)
            second.score, second.revision = 1, 2
            amended = feedback_pb2.ResponseAmended(response=second, before=first)
            self._log.score(life.tenant, self._response(amended=amended), 0, 1, before=life.score)

    def _response(self, **record: Any) -> int:
        value = feedback_pb2.FeedbackRecord(
            tenant=self._life.tenant, person_id=self._identity, occurred_at_ms=self._log.now_ms, **record
        )
        return self._log.put("feedback.responses.v1", f"{self._life.tenant}/{self._identity}", value)


def _configuration(tenant: str) -> config_pb2.TenantConfiguration:
    webchat = config_pb2.ChannelCapacity(channel="webchat", weight=20, maximum=4)
    profile = config_pb2.CapacityProfile(name="standard", total=100, channels=[webchat])
    agents = [config_pb2.AgentProfile(agent_id=agent, capacity_profile="standard") for agent in AGENTS]
    return config_pb2.TenantConfiguration(tenant=tenant, capacity_profiles=[profile], agents=agents)


def a_history(*lives: Life) -> Evidence:
    """Return the history of these lives; without any, of a few that together reach every part."""
    log = Synthetic()
    for life in lives or EVERYTHING:
        log.live(life)
    return log.evidence()


EVERYTHING: Final = (
    Life(),
    Life(first_offer="declined", writes_again=2, score=2, amends=True),
    Life(tenant="bank", first_offer="expired", wraps_up=True, score=None),
    Life(tenant="bank", writes_again=0, score=4),
    Life(leaves=True),
)
"""Lives that together reach every part of a history."""
