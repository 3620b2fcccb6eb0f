"""Folds the topics and compares them with what was sent: the audit behind `lost 0, doubled 0, misdelivered 0`.

Every message of a demo customer carries a mark (`#d1-17`), and every reply of a demo agent another (`#r1-42`), so that each can be counted
wherever it appears. The rules:

- **lost**: an acknowledged message that is in no conversation; an interaction without exactly one end; a reply that was confirmed to its agent
  as recorded, but neither reached the customer nor is recorded as failed or of unknown outcome; a recovery that was due and is not opened.
- **doubled**: a message that is in the conversations twice or opened two interactions; an interaction that was opened or ended twice or is
  held by two agents at once; a reply that reached the customer twice. A recovery after a bad response is opened without a message.
- **misdelivered**: a reply that reached a customer who has not written in its conversation; a bounce that is not tied to its delivery; an automatic
  reply outside the conversation that it answers, or that opened an interaction or touched a clock.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from chapar.common.v1 import types_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.chassis.privacy.sealing import Keys, unseal

TOPICS = ("conversations.v1", "deliveries.v1", "routing.events.v1", "sla.events.v1", "feedback.responses.v1")
_UNDER_WAY = (ingest_pb2.DELIVERY_STATE_QUEUED, ingest_pb2.DELIVERY_STATE_ATTEMPTING)
MARK = re.compile(r"#[dr][0-9a-z]+-\d+")
EXPLAINED = frozenset({ingest_pb2.DELIVERY_STATE_UNKNOWN, ingest_pb2.DELIVERY_STATE_FAILED})
"""States in which a reply that did not arrive is not lost: the failure and its reason are recorded. Such a reply is never repeated blindly."""
_OF_CLOCKS = (sla_pb2.SLA_EVENT_KIND_DEADLINE_SET, sla_pb2.SLA_EVENT_KIND_PAUSED, sla_pb2.SLA_EVENT_KIND_RESUMED)
TERMINAL = {"completed", "abandoned", "cancelled"}


@dataclass(slots=True)
class ObservedInteraction:
    """One interaction as the topics show it. Times are milliseconds."""

    interaction_id: str
    channel: str = ""
    queue: str = ""
    arrived_at: int = 0
    offered_at: int = 0
    assigned_at: int = 0
    replied_at: int = 0
    ends: list[str] = field(default_factory=list)
    holder: str = ""
    overlaps: int = 0
    state: str = "opened"
    agent: str = ""


class Ledger:
    """Folds records; does not depend on Kafka. Fold each record once (a new ledger reads from the beginning)."""

    def __init__(self, keys: Keys | None = None) -> None:
        """Create an empty ledger. `keys`: the keys of persons; without them sealed texts can't be read."""
        self._keys = keys
        self.seen: Counter[str] = Counter()
        """The marks of customers' messages in conversations."""
        self.replies: Counter[str] = Counter()
        """The marks of agents' replies in conversations."""
        self.opened_by: Counter[str] = Counter()
        """The number of interactions that a message opened, by the message's id."""
        self.opened: Counter[str] = Counter()
        """The number of times that each interaction was opened."""
        self.interactions: dict[str, ObservedInteraction] = {}
        self.conversation_of_mark: dict[str, str] = {}
        """The conversation of each message and reply, by its mark."""
        self.delivery_of_mark: dict[str, str] = {}
        """The delivery of each reply, by its mark."""
        self.message_of_mark: dict[str, str] = {}
        """The id of each customer's message, by its mark."""
        self.automatic: dict[str, int] = {}
        """The kinds of machines' messages, by the message's id."""
        self.automatic_times: dict[str, tuple[str, int]] = {}
        """The interaction and the time at which it learned of a machine's message, by the message's id."""
        self.bounced: set[str] = set()
        """The deliveries that failed because of a bounce."""
        self.clocks: set[tuple[str, int]] = set()
        """The interaction and the time of each event at which a clock was set, stopped or went on."""
        self.deliveries: dict[str, ingest_pb2.DeliveryRecord] = {}
        self.as_templates: set[str] = set()
        """The deliveries that were sent as approved templates in place of their texts."""
        self.sla: Counter[str] = Counter()
        self.breached: set[str] = set()
        self.invited = 0
        self.responses: list[int] = []
        self.recoveries: dict[str, str] = {}
        """The interaction of each recovery after a bad response, by invitation; empty while the recovery is due and not opened."""
        self.refused: Counter[str] = Counter()
        self.files: dict[str, int] = {}
        """The states of customers' files, by name."""

    def fold(self, records: Iterable[Record]) -> None:
        """Fold records of any of TOPICS; other records are ignored."""
        for record in records:
            if record.value is None:
                continue
            if record.topic == "conversations.v1":
                said = ingest_pb2.ConversationRecord.FromString(record.value)
                if self._keys is not None:
                    unseal(said, self._keys, record.topic, record.key or b"")
                self._conversation(said)
            elif record.topic == "routing.events.v1":
                self._routing(router_pb2.RoutingEvent.FromString(record.value))
            elif record.topic == "deliveries.v1":
                delivery = ingest_pb2.DeliveryRecord.FromString(record.value)
                self.deliveries[delivery.delivery_id] = delivery
                if delivery.state == ingest_pb2.DELIVERY_STATE_FAILED and delivery.reason.startswith("BOUNCED_"):
                    self.bounced.add(delivery.delivery_id)
                if delivery.reason == "SENT_AS_TEMPLATE":
                    self.as_templates.add(delivery.delivery_id)
            elif record.topic == "sla.events.v1":
                self._sla(sla_pb2.SlaEvent.FromString(record.value))
            elif record.topic == "feedback.responses.v1":
                self._feedback(feedback_pb2.FeedbackRecord.FromString(record.value))

    @property
    def open(self) -> list[ObservedInteraction]:
        """The interactions without an end so far."""
        return [i for i in self.interactions.values() if not i.ends]

    def recoveries_due(self) -> list[str]:
        """Return the invitations whose recovery is due and not opened."""
        return [invitation for invitation, interaction in self.recoveries.items() if not interaction]

    def pending_files(self) -> list[str]:
        """Return the files that are still at their provider."""
        return [name for name, state in self.files.items() if state == ingest_pb2.ATTACHMENT_STATE_TO_FETCH]

    def pending_deliveries(self) -> list[str]:
        """Return the deliveries that are neither sent, failed nor unknown."""
        return [d for d, record in self.deliveries.items() if record.state in _UNDER_WAY]

    def _conversation(self, record: ingest_pb2.ConversationRecord) -> None:
        kind = record.WhichOneof("record")
        if kind == "message":
            marks = MARK.findall(record.message.text)
            self.conversation_of_mark |= dict.fromkeys(marks, record.conversation_id)
            if record.message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER:
                self.seen.update(mark for mark in marks if mark.startswith("#d"))
                self.message_of_mark |= dict.fromkeys(marks, record.message.message_id)
                if record.message.automatic.kind:
                    self.automatic[record.message.message_id] = record.message.automatic.kind
                self.files |= {file.name: file.state for file in record.message.attachments}
                return
            self.delivery_of_mark |= dict.fromkeys(marks, record.message.message_id)
            if record.message.delivery_state != ingest_pb2.DELIVERY_STATE_FAILED:
                self.replies.update(mark for mark in marks if mark.startswith("#r"))
        elif kind == "file_settled":
            file = record.file_settled.attachment
            self.files[file.name] = file.state
        elif kind == "interaction_opened":
            opened = record.interaction_opened
            if opened.message_id:
                self.opened_by[opened.message_id] += 1
            self.opened[opened.interaction_id] += 1
            self._interaction(opened.interaction_id)

    def _interaction(self, interaction_id: str) -> ObservedInteraction:
        return self.interactions.setdefault(interaction_id, ObservedInteraction(interaction_id))

    def _routing(self, event: router_pb2.RoutingEvent) -> None:
        if not event.HasField("interaction"):
            return
        observed = self._interaction(event.interaction.interaction_id)
        observed.channel, observed.queue = event.interaction.channel, event.interaction.queue
        observed.arrived_at = event.interaction.arrived_at_ms
        now = event.occurred_at_ms
        match event.WhichOneof("event"):
            case "queued":
                observed.state, observed.holder = "queued", ""
            case "offered":
                observed.state = "offered"
                observed.offered_at = observed.offered_at or now
            case "assigned":
                if observed.holder and observed.holder != event.assigned.agent_id:
                    observed.overlaps += 1
                observed.state = "assigned"
                observed.holder = observed.agent = event.assigned.agent_id
                observed.assigned_at = observed.assigned_at or now
            case "customer_message_recorded" if event.customer_message_recorded.automatic:
                self.automatic_times[event.customer_message_recorded.message_id] = (observed.interaction_id, now)
            case "agent_replied":
                observed.replied_at = observed.replied_at or now
            case "transferred":
                observed.holder = ""
            case "completed" | "abandoned" | "cancelled" as end:
                observed.state, observed.holder = end, ""
                observed.ends.append(end)
            case _:
                return

    def _sla(self, event: sla_pb2.SlaEvent) -> None:
        kind = sla_pb2.SlaEventKind.Name(event.kind).removeprefix("SLA_EVENT_KIND_").lower()
        self.sla[kind] += 1
        if event.kind in _OF_CLOCKS:
            self.clocks.add((event.interaction_id, event.occurred_at_ms))
        if event.kind == sla_pb2.SLA_EVENT_KIND_BREACHED:
            self.breached.add(event.interaction_id)

    def _feedback(self, record: feedback_pb2.FeedbackRecord) -> None:
        match record.WhichOneof("record"):
            case "invited":
                self.invited += 1
            case "answered":
                self.responses.append(record.answered.score)
            case "refused":
                self.refused[record.refused.reason] += 1
            case "recovery_due":
                self.recoveries.setdefault(record.recovery_due.invitation_id, "")
            case "recovery_opened":
                self.recoveries[record.recovery_opened.invitation_id] = record.recovery_opened.interaction_id
            case _:
                return


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of an audit, with the details of everything lost or doubled."""

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    misdelivered: tuple[str, ...]
    unknown_deliveries: int
    failed_deliveries: int

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, nothing doubled, and nothing misdelivered."""
        return not self.lost and not self.doubled and not self.misdelivered


@dataclass(slots=True)
class Sent:
    """What the demo itself sent and received: marks, and the number of times each reply reached a customer."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """The channel of each acknowledged customer message, by mark."""
    recorded_replies: dict[str, str] = field(default_factory=dict)
    """The delivery of each reply that was confirmed to its agent as recorded, by mark."""
    arrivals: Counter[str] = field(default_factory=Counter)
    """The number of times each reply reached its customer at the other end of the channel, by mark."""
    files: dict[str, str] = field(default_factory=dict)
    """The channel of each acknowledged file of a customer, by name."""
    recorded_files: dict[str, str] = field(default_factory=dict)
    """The delivery of each file that was confirmed to its agent, by name."""
    channels_of_files: set[str] = field(default_factory=set)
    """The channels on which an agent has sent a file."""
    file_arrivals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of times each agent's file reached its customer, by name and channel."""
    writers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The channel and address of the customer who sent each message, by mark."""
    receivers: set[tuple[str, str, str]] = field(default_factory=set)
    """The mark of each reply with the channel and address that it reached."""
    bounces: set[str] = field(default_factory=set)
    """The replies that a mail server returned, by mark."""
    auto_replies: dict[str, str] = field(default_factory=dict)
    """The reply that each automatic reply answers, by the automatic reply's mark."""


def audit(ledger: Ledger, sent: Sent) -> Audit:
    """Compare the topics with what was sent."""
    doubled: list[str] = []
    lost = [
        f"message {mark} was acknowledged and is in no conversation"
        for mark in sent.acknowledged
        if not ledger.seen[mark]
    ]
    doubled += [f"message {mark} is in the conversations {n} times" for mark, n in ledger.seen.items() if n > 1]
    doubled += [f"message {m} opened {n} interactions" for m, n in ledger.opened_by.items() if n > 1]
    doubled += [f"interaction {name} was opened {n} times" for name, n in ledger.opened.items() if n > 1]
    for observed in ledger.interactions.values():
        if not observed.ends:
            lost.append(f"interaction {observed.interaction_id} never ended (it is {observed.state})")
        elif len(observed.ends) > 1:
            doubled.append(f"interaction {observed.interaction_id} ended {len(observed.ends)} times")
        if observed.overlaps:
            doubled.append(f"interaction {observed.interaction_id} was held by two agents at once")
    lost += [f"the recovery of invitation {name} was never opened" for name in ledger.recoveries_due()]
    for mark, delivery_id in sent.recorded_replies.items():
        if sent.arrivals[mark] == 0 and _state(ledger, delivery_id) not in EXPLAINED:
            lost.append(f"reply {mark} never reached the customer (delivery {delivery_id})")
    doubled += [f"reply {mark} reached the customer {n} times" for mark, n in sent.arrivals.items() if n > 1]
    stored = ingest_pb2.ATTACHMENT_STATE_STORED
    lost += [f"file {name} was acknowledged and is not kept" for name in sent.files if ledger.files.get(name) != stored]
    arrived = {name for name, _ in sent.file_arrivals}
    for name, delivery_id in sent.recorded_files.items():
        if name not in arrived and _state(ledger, delivery_id) not in EXPLAINED:
            lost.append(f"file {name} never reached the customer (delivery {delivery_id})")
    doubled += [f"file {name} reached the customer {n} times" for (name, _), n in sent.file_arrivals.items() if n > 1]
    doubled += [f"reply {mark} is in the conversation {n} times" for mark, n in ledger.replies.items() if n > 1]
    states = Counter(delivery.state for delivery in ledger.deliveries.values())
    unknown, failed = states[ingest_pb2.DELIVERY_STATE_UNKNOWN], states[ingest_pb2.DELIVERY_STATE_FAILED]
    return Audit(tuple(lost), tuple(doubled), tuple(misdelivered(ledger, sent)), unknown, failed)


def _state(ledger: Ledger, delivery_id: str) -> int:
    delivery = ledger.deliveries.get(delivery_id)
    return delivery.state if delivery is not None else ingest_pb2.DELIVERY_STATE_UNSPECIFIED


def misdelivered(ledger: Ledger, sent: Sent) -> list[str]:
    """Return each reply that reached another customer, and each machine's message that went where it does not belong."""
    writers: dict[str, set[tuple[str, str]]] = {}
    for mark, writer in sent.writers.items():
        writers.setdefault(ledger.conversation_of_mark.get(mark, ""), set()).add(writer)
    found = [
        f"reply {mark} reached {address} ({channel}), who has not written in its conversation"
        for mark, channel, address in sorted(sent.receivers)
        if mark in ledger.conversation_of_mark
        and (channel, address) not in writers.get(ledger.conversation_of_mark[mark], ())
    ]
    found += [
        f"the bounce of reply {mark} is not tied to its delivery" for mark in sorted(untied_bounces(ledger, sent))
    ]
    for mark, reply in sent.auto_replies.items():
        message_id = ledger.message_of_mark.get(mark, "")
        if ledger.conversation_of_mark.get(mark) != ledger.conversation_of_mark.get(reply):
            found.append(f"automatic reply {mark} is not in the conversation of reply {reply}")
        if ledger.automatic.get(message_id) != types_pb2.AUTOMATIC_KIND_AUTO_REPLY:
            found.append(f"automatic reply {mark} was taken for a person's message")
        if ledger.opened_by[message_id]:
            found.append(f"automatic reply {mark} opened an interaction")
        if ledger.automatic_times.get(message_id) in ledger.clocks:
            found.append(f"automatic reply {mark} touched a clock")
    return found


def untied_bounces(ledger: Ledger, sent: Sent) -> set[str]:
    """Return the replies that came back and whose deliveries have not failed, by mark."""
    return {mark for mark in sent.bounces if ledger.delivery_of_mark.get(mark) not in ledger.bounced}
