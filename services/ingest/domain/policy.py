"""What a tenant's configuration says about intake and sending, reduced to what the core asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.ingest.domain.rules import Condition, Rule

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPolicy:
    """One of our accounts on a channel. Times in ms; defaults are the contract's."""

    channel: str
    account: str
    gather_ms: int = 0
    conversation_window_ms: int = DAY_MS
    acknowledge: bool = False
    acknowledge_gap_ms: int = HOUR_MS
    sends_per_second: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Names to references ("env:…", "file:…"), never secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPolicy:
    """One version of a tenant's configuration."""

    tenant: str
    version: int
    default_language: str
    accounts: Mapping[tuple[str, str], AccountPolicy]
    pools: Mapping[str, str]
    """Queue to pool, in the configuration's order."""
    rules: tuple[Rule, ...]
    condition: Condition
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Template to texts by language."""
    routing_labels: frozenset[str] = frozenset()
    """Labels that may leave the conversation besides Chapar's own."""

    def account(self, channel: str, account: str) -> AccountPolicy:
        """The account's policy. One that was taken out of the configuration while its messages were under way gets the defaults."""
        found = self.accounts.get((channel, account))
        return found if found is not None else AccountPolicy(channel=channel, account=account)


Policies = Callable[[], Mapping[str, TenantPolicy]]
"""All tenants' policies as they are now: a snapshot that does not change."""
