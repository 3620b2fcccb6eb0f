"""The open interactions of each person, over all conversations and channels: a survey does not interrupt them.

An interaction is open from the event that first queues it to its completion, abandonment or cancellation. Spam and
automatic mail are left out: no person is waiting behind them. The time of an interaction is that of the customer's
message. Times are milliseconds since the epoch.
"""

from dataclasses import dataclass, replace
from typing import Final

MOST_OPEN: Final = 64
"""If a person has more open interactions, the oldest are left out."""
LONGEST_OPEN_MS: Final = 30 * 24 * 3_600_000
"""An interaction that is open for longer no longer holds a survey back. It also bounds the memory if an end never comes,
for instance because the person's identities were joined in between."""


@dataclass(frozen=True, slots=True)
class OpenInteractions:
    """The open interactions of a person with the time at which each began, the oldest first."""

    tenant: str
    person_id: str
    began: tuple[tuple[int, str], ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return (self.tenant, self.person_id)

    @property
    def forget_at_ms(self) -> int:
        """When the oldest is left out."""
        return self.began[0][0] + LONGEST_OPEN_MS if self.began else 0

    def with_one(self, interaction_id: str, at_ms: int) -> "OpenInteractions":
        """Return the entry with one more; the same entry if it is there already."""
        if any(known == interaction_id for _, known in self.began):
            return self
        return replace(self, began=tuple(sorted((*self.began, (at_ms, interaction_id)))[-MOST_OPEN:]))

    def without(self, interaction_id: str) -> "OpenInteractions":
        """Return the entry without an interaction that ended; the same entry if it is not there."""
        left = tuple(each for each in self.began if each[1] != interaction_id)
        return self if len(left) == len(self.began) else replace(self, began=left)

    def remembered(self, now_ms: int) -> "OpenInteractions":
        """Return the entry without interactions that have been open for too long."""
        left = tuple(each for each in self.began if each[0] + LONGEST_OPEN_MS > now_ms)
        return self if len(left) == len(self.began) else replace(self, began=left)

    def began_at(self, interaction_id: str) -> int:
        """Return when an open interaction began; 0 if it is not open."""
        return next((at_ms for at_ms, known in self.began if known == interaction_id), 0)

    def newer(self, interaction_id: str, began_at_ms: int) -> bool:
        """Return whether another interaction that began later is open."""
        return any(
            known != interaction_id and (at_ms, known) > (began_at_ms, interaction_id) for at_ms, known in self.began
        )
