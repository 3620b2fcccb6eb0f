"""The interface of every provider's client."""

from dataclasses import dataclass
from typing import Protocol

from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.attached import OutFile
from services.ingest.domain.messages import Purpose, Route, TemplateUse
from services.ingest.domain.retry_classes import PartResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of one message, ready to be sent. `index` counts from 0, `count` is the number of
    parts; times in ms."""

    conversation_id: str
    delivery_id: str
    request_id: str
    interaction_id: str
    text: str
    purpose: Purpose
    author_id: str
    route: Route
    index: int
    now_ms: int
    count: int = 1
    to: tuple[str, ...] = ()
    """For e-mail: the addresses that an agent or a caller has chosen; empty: the customer alone."""
    cc: tuple[str, ...] = ()
    template: TemplateUse | None = None
    """The approved template that is sent; `text` has its words."""
    files: tuple[OutFile, ...] = ()


class ChannelClient(Protocol):
    """Sends one part by one channel. Expected failures are results.

    Raises Unconfigured or ChaparError before anything has been sent. Any other exception means that it is not known
    what was sent.
    """

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Make one attempt, with one request."""

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return (address for the limits per recipient, whether it is a group)."""
