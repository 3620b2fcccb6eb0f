"""What the campaign's clients see: messages, confirmations and arrivals, with the time that each one took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.chassis.clock import system_clock
from services.cli.demo.customers import Mailbox
from services.cli.demo.ledger import Sent
from tests.chaos.history.history import MARK
from tests.chaos.history.model import Acknowledged, Arrival, ClientView, ConfirmedCommand, ConfirmedReply


@dataclass
class Waits:
    """How long callers waited for their answers, in seconds; one that never came counts until the end."""

    longest_s: float = 0.0
    _since: dict[object, float] = field(default_factory=dict)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Measure one call with all its repetitions."""
        token = object()
        self._since[token] = time.monotonic()
        try:
            yield
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - self._since.pop(token))


class Observed:
    """Collects what clients see during one run."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.replies: list[ConfirmedReply] = []
        self.commands: list[ConfirmedCommand] = []
        self.arrivals: list[Arrival] = []
        self.refused = Counter[str]()
        """Messages that were never acknowledged, by tenant and channel: their customers gave up."""
        self.customers = Waits()
        self.agents = Waits()

    def view(self) -> ClientView:
        """Return everything so far."""
        return ClientView(tuple(self.acknowledged), tuple(self.replies), tuple(self.commands), tuple(self.arrivals))


class Letterbox(Mailbox):
    """The messages that reached the customers of one tenant."""

    def __init__(self, tenant: str, observed: Observed) -> None:
        super().__init__(Sent())
        self._tenant = tenant
        self._observed = observed

    def arrived(self, channel: str, address: str, text: str) -> None:
        """Add a message that reached this customer."""
        for mark in MARK.findall(text):
            if mark.startswith("#r"):
                self._observed.arrivals.append(Arrival(self._tenant, channel, address, mark, system_clock()))
        super().arrived(channel, address, text)
