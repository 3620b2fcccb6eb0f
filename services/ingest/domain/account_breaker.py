"""Accounts that a provider refuses as a whole (wrong token, suspended): sending by them pauses for a time, and no
message is lost.

Kept per partition and in memory only: a new owner learns of the refusal with its first attempt.
"""

from services.ingest.domain.deliveries import SenderLimits

_Account = tuple[str, str, str]


class AccountBreaker:
    """Maps tenant, channel and account to the end of its halt."""

    def __init__(self, limits: SenderLimits) -> None:
        self._limits = limits
        self._halted: dict[_Account, tuple[int, int]] = {}

    def halted(self, tenant: str, channel: str, account: str, now_ms: int) -> None:
        """Record that the provider refused the account. Attempts that were in flight together count once."""
        until, times = self._halted.get((tenant, channel, account), (0, 0))
        if now_ms < until:
            return
        times += 1
        wait = min(self._limits.last_halt_ms, self._limits.first_halt_ms * 2 ** min(times - 1, 20))
        self._halted[tenant, channel, account] = (now_ms + wait, times)

    def answered(self, tenant: str, channel: str, account: str) -> None:
        """Record that the provider accepted or refused one message: the account works."""
        self._halted.pop((tenant, channel, account), None)

    def until(self, tenant: str, channel: str, account: str) -> int:
        """Return the end of the halt, ms, or 0 when the account is not halted."""
        return self._halted.get((tenant, channel, account), (0, 0))[0]
