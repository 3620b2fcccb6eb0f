"""A tenant's configuration of intake and sending, reduced to what the core needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.policy.model.approved_templates import ApprovedTemplate, OutsideWindow
from services.policy.model.closing_words import EVERYWHERE, ClosingWords
from services.policy.model.opening_hours import TenantHours
from services.policy.model.rules import Condition, Rule

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPolicy:
    """One of the tenant's accounts on a channel. Times in ms; the defaults are those of the contract."""

    channel: str
    account: str
    gather_ms: int = 0
    conversation_window_ms: int = DAY_MS
    acknowledge: bool = False
    acknowledge_gap_ms: int = HOUR_MS
    sends_per_second: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Maps names to references ("env:…", "file:…"), never to secrets."""
    approved_templates: tuple[ApprovedTemplate, ...] = ()
    outside_window: OutsideWindow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPolicy:
    """One version of a tenant's configuration."""

    tenant: str
    version: int
    default_language: str
    accounts: Mapping[tuple[str, str], AccountPolicy]
    pools: Mapping[str, str]
    """Maps queue to pool, in the configuration's order."""
    rules: tuple[Rule, ...]
    condition: Condition
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Maps template name to texts by language."""
    follow_up_failed_replies: bool = True
    """Whether a reply that fails after its interaction has ended opens a further interaction."""
    routing_labels: frozenset[str] = frozenset()
    """Labels that may leave the conversation, in addition to Chapar's own."""
    closing_words: ClosingWords = EVERYWHERE
    blocks_for_ms: Mapping[str, int] = field(default_factory=dict)
    """For how long a disposition blocks the sender of the interaction; those that do not block are absent."""
    hours: TenantHours = field(default_factory=TenantHours)

    def account(self, channel: str, account: str) -> AccountPolicy:
        """Return the account's policy. An account that was removed from the configuration while it had messages in
        progress gets the defaults."""
        found = self.accounts.get((channel, account))
        return found if found is not None else AccountPolicy(channel=channel, account=account)


def account_in(policy: TenantPolicy | None, channel: str, account: str) -> AccountPolicy:
    """Return an account of a tenant's policy, also of a tenant that has none (yet)."""
    return policy.account(channel, account) if policy is not None else AccountPolicy(channel=channel, account=account)


Policies = Callable[[], Mapping[str, TenantPolicy]]
"""Returns all tenants' current policies, as an immutable snapshot."""


def no_policies() -> Mapping[str, TenantPolicy]:
    """Return no policy, for a lane that needs none."""
    return {}


NO_POLICIES: Final[Policies] = no_policies
