"""What a history consists of. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class LogRecord(NamedTuple):
    """One committed record. `topic` is the logical name, without the installation's prefix; sealed texts are opened."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition and offset."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A customer's message that an edge acknowledged. `mark` is unique and part of the text.

    A customer sends message `number` + 1 only when `number` was acknowledged.
    """

    tenant: str
    channel: str
    customer: str
    mark: str
    number: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class ConfirmedReply:
    """An agent's reply that the router confirmed to the agent's desk. `mark` is unique and part of the text.

    `watched`: the customer's end of the channel is observed, so each arrival is an `Arrival`.
    """

    tenant: str
    agent_id: str
    interaction_id: str
    mark: str
    at_ms: int
    watched: bool = True


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with a mark that reached the customer: by the provider, or in the customer's own web chat."""

    tenant: str
    channel: str
    customer: str
    mark: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ConfirmedCommand:
    """Another command that the router confirmed to a desk: `kind` is "accept" (of an offer), "decline" (of an offer) or
    "complete" (of an interaction)."""

    kind: str
    agent_id: str
    subject: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class LiveState:
    """What the services answered when all was quiet, for one tenant: `waiting` lists the interactions in queues."""

    tenant: str
    waiting: frozenset[str]
    offered: Mapping[str, frozenset[str]]
    """Ids of open offers, by agent."""
    held: Mapping[str, frozenset[str]]
    """Ids of interactions that are assigned or in wrap-up, by agent."""
    used: Mapping[str, int]
    """Capacity in use, by agent."""
    replay_difference: str = ""
    """The first difference that `chapar replay` found; empty when the replay was identical, or was not run."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How late things may be. A history with faults needs the longest outage in each."""

    offer_late_ms: int = 2_000
    """An offer that was not answered ends at most this long after its time-out."""
    deadline_late_ms: int = 2_000
    """A deadline fires at most this long after its due time."""
    drain_ms: int = 45_000
    """After the last fault heals, everything is drained within this time."""


@dataclass(frozen=True, slots=True)
class ClientView:
    """Everything that clients saw."""

    acknowledged: tuple[Acknowledged, ...] = ()
    replies: tuple[ConfirmedReply, ...] = ()
    commands: tuple[ConfirmedCommand, ...] = ()
    arrivals: tuple[Arrival, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The checker's whole input."""

    clients: ClientView
    records: tuple[LogRecord, ...]
    healed_at_ms: int
    """When the last fault had healed and the last client had sent its last message."""
    read_at_ms: int
    """When the topics were read."""
    live: tuple[LiveState, ...] = ()
    injected: frozenset[tuple[str, int, int]] = field(default_factory=frozenset)
    """Places of poison records that the campaign wrote itself; they are not judged as output."""
    bounds: Bounds = field(default_factory=Bounds)
    hanging: tuple[tuple[str, int, int], ...] = ()
    """Topic, partition and offset behind which readers of committed records could not get, because a transaction stays open."""
    lost: frozenset[tuple[str, int, int]] = field(default_factory=frozenset)
    """Places of records that a fault took out of a topic before a lane handled them. Only what these records ask for may be missing."""


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One breach of an invariant. `problem` is one word or two, for counting: "lost", "doubled", "false breach"."""

    invariant: str
    problem: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.problem}" + (f" ({self.detail})" if self.detail else "")
