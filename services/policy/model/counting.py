"""A tenant's configuration of counting and recoveries, besides its surveys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import Final

from services.policy.model.categories import CategoryRule
from services.policy.model.surveys import SurveyKind

LEAST_RESPONSES: Final = 5
LONGEST_BLOCK_MS: Final = 366 * 24 * 3_600_000
FIRST_CONTACT_WINDOW_MS: Final = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class RecoveryRule:
    """A tenant's rule. Empty sets match everything; `kind` None is the survey's first question. `requirements` are
    opaque here."""

    name: str
    at_most: int
    queue: str
    surveys: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    kind: SurveyKind | None = None
    priority: int = 0
    requirements: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Disposition:
    """What an agent's classification of a completed interaction means.

    `spam`: no person made contact. `no_further_work`: nothing was to be done, so it was not a contact either; a thank-you, for
    example. `blocks_for_ms`: the sender of the interaction is blocked for this time; 0: they are not.
    """

    spam: bool = False
    no_further_work: bool = False
    blocks_for_ms: int = 0


BUILT_IN: Final[Mapping[str, Disposition]] = MappingProxyType(
    {"spam": Disposition(spam=True), "no_further_work": Disposition(no_further_work=True)}
)
"""Dispositions that mean the same for every tenant."""
NO_MEANING: Final = Disposition()


@dataclass(frozen=True, slots=True)
class Counting:
    """`week_begins`: 0 for Monday to 6 for Sunday. `routes`: webhooks that are notified of responses in a category."""

    zone: tzinfo = UTC
    week_begins: int = 0
    least_responses: int = LEAST_RESPONSES
    first_contact_window_ms: int = FIRST_CONTACT_WINDOW_MS
    recoveries: tuple[RecoveryRule, ...] = ()
    categories: tuple[CategoryRule, ...] = ()
    routes: dict[str, frozenset[str]] = field(default_factory=dict)
    dispositions: Mapping[str, Disposition] = field(default_factory=dict)

    def disposition(self, name: str) -> Disposition:
        """Return what a disposition means; nothing for one that only classifies."""
        return self.dispositions.get(name) or BUILT_IN.get(name) or NO_MEANING
