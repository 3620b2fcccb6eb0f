"""Decodes the records of the topics by the contracts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError

from chapar.common.v1 import dead_letter_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.model import LogRecord

M = TypeVar("M")

SCHEMAS: Final[dict[str, Any]] = {
    "inbound.v1": ingest_pb2.InboundRecord,
    "conversations.v1": ingest_pb2.ConversationRecord,
    "outbound.v1": ingest_pb2.OutboundRecord,
    "deliveries.v1": ingest_pb2.DeliveryRecord,
    "routing.commands.v1": router_pb2.RoutingCommand,
    "routing.events.v1": router_pb2.RoutingEvent,
    "sla.events.v1": sla_pb2.SlaEvent,
    "feedback.commands.v1": feedback_pb2.FeedbackCommand,
    "feedback.responses.v1": feedback_pb2.FeedbackRecord,
    "feedback.scores.v1": feedback_pb2.ScoreRecord,
    "config.v1": config_pb2.TenantConfiguration,
    "deadletters.v1": dead_letter_pb2.DeadLetter,
}
"""The topics that the checker reads, and the message in each."""


@dataclass(frozen=True, slots=True)
class Logged(Generic[M]):
    """A decoded record and its place."""

    record: LogRecord
    value: M

    def header(self, name: str) -> str:
        """Return the text of a header; empty when the record lacks it."""
        return dict(self.record.headers).get(name, b"").decode(errors="replace")


class Topics:
    """The decoded records of each topic, in order per partition. Tombstones and injected records are left out."""

    def __init__(self, records: Iterable[LogRecord], injected: frozenset[tuple[str, int, int]]) -> None:
        self.undecodable: list[LogRecord] = []
        self._found: dict[str, list[Logged[Any]]] = {name: [] for name in SCHEMAS}
        for record in sorted(records, key=lambda record: record.place):
            if record.value is None or record.place in injected or record.topic not in SCHEMAS:
                continue
            try:
                self._found[record.topic].append(Logged(record, SCHEMAS[record.topic].FromString(record.value)))
            except DecodeError:
                self.undecodable.append(record)

    def all(self) -> Iterable[Logged[Any]]:
        """Yield every decoded record."""
        for records in self._found.values():
            yield from records

    @property
    def inbound(self) -> list[Logged[ingest_pb2.InboundRecord]]:
        return self._found["inbound.v1"]

    @property
    def conversations(self) -> list[Logged[ingest_pb2.ConversationRecord]]:
        return self._found["conversations.v1"]

    @property
    def outbound(self) -> list[Logged[ingest_pb2.OutboundRecord]]:
        return self._found["outbound.v1"]

    @property
    def deliveries(self) -> list[Logged[ingest_pb2.DeliveryRecord]]:
        return self._found["deliveries.v1"]

    @property
    def commands(self) -> list[Logged[router_pb2.RoutingCommand]]:
        return self._found["routing.commands.v1"]

    @property
    def routing(self) -> list[Logged[router_pb2.RoutingEvent]]:
        return self._found["routing.events.v1"]

    @property
    def sla(self) -> list[Logged[sla_pb2.SlaEvent]]:
        return self._found["sla.events.v1"]

    @property
    def feedback_commands(self) -> list[Logged[feedback_pb2.FeedbackCommand]]:
        return self._found["feedback.commands.v1"]

    @property
    def responses(self) -> list[Logged[feedback_pb2.FeedbackRecord]]:
        return self._found["feedback.responses.v1"]

    @property
    def scores(self) -> list[Logged[feedback_pb2.ScoreRecord]]:
        return self._found["feedback.scores.v1"]

    @property
    def configurations(self) -> list[Logged[config_pb2.TenantConfiguration]]:
        return self._found["config.v1"]

    @property
    def dead_letters(self) -> list[Logged[dead_letter_pb2.DeadLetter]]:
        return self._found["deadletters.v1"]
