"""The views of a history that several invariants need, each made once."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from functools import cached_property
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.model import Evidence
from tests.chaos.history.topics import Logged, Topics

MARK: Final = re.compile(r"#[cr][0-9a-z]+-\d+")
"""A customer's mark begins with #c, an agent's with #r."""
ENDS: Final = frozenset({"completed", "abandoned", "cancelled"})
_NAMESPACE: Final = uuid.UUID("6b1f0a52-7d0e-5c3a-9a51-c4a9a2c0f3e7")

Deadline = tuple[str, int, int]
"""Interaction, target and number of one deadline."""


class History:
    """An `Evidence` with its records decoded, and the lives in it."""

    def __init__(self, evidence: Evidence) -> None:
        self.clients = evidence.clients
        self.bounds = evidence.bounds
        self.live = evidence.live
        self.injected = evidence.injected
        self.lost = evidence.lost
        self.hanging = evidence.hanging
        self.healed_at_ms = evidence.healed_at_ms
        self.read_at_ms = evidence.read_at_ms
        self.topics = Topics(evidence.records, evidence.injected)

    @property
    def must_be_drained(self) -> bool:
        """Whether the time to drain has passed since the last fault healed."""
        return self.read_at_ms >= self.healed_at_ms + self.bounds.drain_ms

    def overdue(self, since_ms: int) -> bool:
        """Whether work that began at a time must have ended by now."""
        return self.read_at_ms > max(since_ms, self.healed_at_ms) + self.bounds.drain_ms

    @cached_property
    def interactions(self) -> dict[str, list[Logged[router_pb2.RoutingEvent]]]:
        """The routing events of each interaction, in order."""
        found: dict[str, list[Logged[router_pb2.RoutingEvent]]] = defaultdict(list)
        for event in self.topics.routing:
            if event.value.HasField("interaction"):
                found[event.value.interaction.interaction_id].append(event)
        return found

    @cached_property
    def opened(self) -> dict[str, list[Logged[ingest_pb2.ConversationRecord]]]:
        """The records that open each interaction."""
        found: dict[str, list[Logged[ingest_pb2.ConversationRecord]]] = defaultdict(list)
        for record in self.topics.conversations:
            if record.value.WhichOneof("record") == "interaction_opened":
                found[record.value.interaction_opened.interaction_id].append(record)
        return found

    @cached_property
    def opened_by(self) -> dict[str, list[str]]:
        """The interactions that began with each message."""
        found: dict[str, list[str]] = defaultdict(list)
        for interaction_id, records in self.opened.items():
            for record in records:
                began = record.value.interaction_opened
                for message_id in (began.message_id, *began.further_message_ids):
                    if message_id:
                        found[message_id].append(interaction_id)
        return found

    @cached_property
    def joined(self) -> dict[str, list[str]]:
        """The open interactions to which the router added each message."""
        found: dict[str, list[str]] = defaultdict(list)
        for interaction_id, events in self.interactions.items():
            for event in events:
                if message_id := event.value.customer_message_recorded.message_id:
                    found[message_id].append(interaction_id)
        return found

    @cached_property
    def messages(self) -> dict[str, list[Logged[ingest_pb2.ConversationRecord]]]:
        """The messages in conversations that carry each mark, in order."""
        found: dict[str, list[Logged[ingest_pb2.ConversationRecord]]] = defaultdict(list)
        for record in self.topics.conversations:
            if record.value.WhichOneof("record") == "message":
                customer = record.value.message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER
                for mark in MARK.findall(record.value.message.text):
                    if mark.startswith("#c") == customer:  # an agent's mail quotes the customer's text
                        found[mark].append(record)
        return found

    @cached_property
    def lost_marks(self) -> frozenset[str]:
        """The marks of customers' messages and of agents' replies in records that the fault took out of their topic."""
        messages = [each.value.message.text for each in self.topics.inbound if each.record.place in self.lost]
        replies = [each.value.request.text for each in self.topics.outbound if each.record.place in self.lost]
        # By the author's letter, because an agent's mail quotes the customer's text.
        return frozenset(
            mark
            for letter, texts in (("#c", messages), ("#r", replies))
            for text in texts
            for mark in MARK.findall(text)
            if mark.startswith(letter)
        )

    @cached_property
    def requests(self) -> dict[str, Logged[ingest_pb2.OutboundRecord]]:
        """The requests to send, by the id of the delivery."""
        return {
            delivery_of(record.value.tenant, record.value.request.request_id): record
            for record in self.topics.outbound
            if record.value.WhichOneof("record") == "request"
        }

    @cached_property
    def delivery_of_mark(self) -> dict[str, str]:
        """The delivery of each agent's mark."""
        return {
            mark: delivery
            for delivery, record in self.requests.items()
            for mark in MARK.findall(record.value.request.text)
            if mark.startswith("#r")
        }

    @cached_property
    def outcomes(self) -> dict[str, list[Logged[ingest_pb2.DeliveryRecord]]]:
        """The final states of each delivery, in order."""
        found: dict[str, list[Logged[ingest_pb2.DeliveryRecord]]] = defaultdict(list)
        for record in self.topics.deliveries:
            if record.value.state not in (ingest_pb2.DELIVERY_STATE_QUEUED, ingest_pb2.DELIVERY_STATE_ATTEMPTING):
                found[record.value.delivery_id].append(record)
        return found

    @cached_property
    def deadlines(self) -> dict[Deadline, list[Logged[sla_pb2.SlaEvent]]]:
        """The events of each deadline, in order."""
        found: dict[Deadline, list[Logged[sla_pb2.SlaEvent]]] = defaultdict(list)
        for event in self.topics.sla:
            found[event.value.interaction_id, event.value.target, event.value.epoch].append(event)
        return found


def derived_id(*parts: str) -> str:
    """Return the id that docs/architecture.md defines: a UUIDv5 of the parts, each preceded by its length in bytes."""
    name = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    digest = hashlib.sha1(_NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16]
    return str(uuid.UUID(bytes=digest, version=5))


def delivery_of(tenant: str, request_id: str) -> str:
    """Return the id of the delivery of a request to send."""
    return derived_id(tenant, request_id)
