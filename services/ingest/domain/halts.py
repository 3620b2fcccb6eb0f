"""Accounts that a provider refuses as a whole (wrong token, suspended): nothing is sent by them for a while, and nothing is lost.

Kept per partition and in memory only: a new owner finds out with its first attempt.
"""

from services.ingest.domain.deliveries import SenderLimits

_Account = tuple[str, str, str]


class Halts:
    """Tenant, channel and account to the end of its halt."""

    def __init__(self, limits: SenderLimits) -> None:
        self._limits = limits
        self._halted: dict[_Account, tuple[int, int]] = {}

    def halted(self, tenant: str, channel: str, account: str, now_ms: int) -> None:
        """The provider refused the account. Attempts that were under way together count once."""
        until, times = self._halted.get((tenant, channel, account), (0, 0))
        if now_ms < until:
            return
        times += 1
        wait = min(self._limits.last_halt_ms, self._limits.first_halt_ms * 2 ** min(times - 1, 20))
        self._halted[tenant, channel, account] = (now_ms + wait, times)

    def answered(self, tenant: str, channel: str, account: str) -> None:
        """The provider took or refused one message: the account works."""
        self._halted.pop((tenant, channel, account), None)

    def until(self, tenant: str, channel: str, account: str) -> int:
        """End of the halt, ms; 0 when there is none."""
        return self._halted.get((tenant, channel, account), (0, 0))[0]
