"""How much one pool keeps. Tests lower these numbers to see what the engine does when it forgets."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one pool."""

    agents: int = 50_000
    """Most agents: one writer decides about all of them."""
    persons_kept: int = 100_000
    """Most persons whose last agent is remembered."""
    moves_kept: int = 100_000
    """Most interactions that were moved to another pool and are remembered, so that commands about them follow."""
    ended_offers_kept: int = 8
    """Most offers of an interaction that have ended and are remembered."""
    requirement_sets_kept: int = 8192
    """Most requirement sets, unless interactions wait for more than half of them."""
    results_kept: int = 400_000
    """Most results of recent commands. See `dedup`."""


DEFAULT: Final = Limits()
