"""What ingest knows of an automatic message: its kind, the evidence, and for a bounce the delivery that failed."""

from dataclasses import dataclass
from typing import Final

from services.policy.model.automatic import AutomaticKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceReport:
    """What a report says about one delivery of ours. Texts are empty when the report does not state them.

    `recipient` is personal data. `status` is an enhanced status code (RFC 3463), e.g. "5.1.1".
    """

    recipient: str = ""
    status: str = ""
    reason: str = ""
    """One line of the other server's explanation. Personal data, because it often repeats the address."""
    failed: bool = True
    """False for a delay: the other server still tries."""
    message_id: str = ""
    """The Message-ID of the mail that was not delivered."""
    conversation_id: str = ""
    """The conversation that this Message-ID names, if the Message-ID is ours."""
    delivery: str = ""
    """The first 12 hexadecimal digits of our delivery's id."""


@dataclass(frozen=True, slots=True)
class Automatic:
    """The kind, and the signs that were found, as words in a fixed order.

    Signs without a kind mean that a person may have written the message, and that it gets no acknowledgement.
    """

    kind: AutomaticKind = AutomaticKind.NONE
    evidence: tuple[str, ...] = ()
    bounce: BounceReport | None = None

    @property
    def silent(self) -> bool:
        """Return whether the message must not get an acknowledgement."""
        return bool(self.evidence) or self.kind is not AutomaticKind.NONE


NOT_AUTOMATIC: Final = Automatic()
