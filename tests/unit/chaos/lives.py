"""The lives of interactions of which a synthetic history is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """The plan of one interaction."""

    tenant: str = "shop"
    first_offer: str = "accepted"
    """How the first offer ends: "accepted", "declined" or "expired"; after the others a second one is accepted."""
    writes_again: int = 1
    leaves: bool = False
    """The customer leaves before any offer."""
    returns: bool = False
    """The agent transfers it to its queue and takes it again."""
    wraps_up: bool = False
    score: int | None = 5
    amends: bool = False
