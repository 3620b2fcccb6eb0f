"""An account with its settings and secrets resolved, as the clients of the providers use it."""

from services.ingest.domain.policy import AccountPolicy
from services.ingest.ports import Account, Secrets


class Unconfigured(Exception):  # noqa: N818 - reads as what happened
    """A setting or a secret is missing: nothing can be sent by this account until an operator acts."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not configured")
        self.reason = f"NO_{name.upper()}"


class SendingAccount:
    """Settings may be references too ("env:…"), for addresses that only a running installation knows."""

    def __init__(self, tenant: str, policy: AccountPolicy, secrets: Secrets) -> None:
        self.tenant = tenant
        self.policy = policy
        self._secrets = secrets

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, channel, account."""
        return self.tenant, self.policy.channel, self.policy.account

    def secret(self, name: str) -> str:
        """Raises Unconfigured without one, ChaparError when its reference can't be read."""
        return self._resolved(dict(self.policy.secrets), name)

    def setting(self, name: str, default: str = "") -> str:
        """The setting, or the default. Raises ChaparError when it is a reference that can't be read."""
        value = self.policy.settings.get(name, "")
        if value.startswith(("env:", "file:")):
            return self._resolved({name: value}, name)
        return value or default

    def required(self, name: str) -> str:
        """Raises Unconfigured without it."""
        value = self.setting(name)
        if not value:
            raise Unconfigured(name)
        return value

    def _resolved(self, references: dict[str, str], name: str) -> str:
        account = Account(self.tenant, self.policy.channel, self.policy.account, references, {}, "")
        found = self._secrets.get(account, name)
        if not found:
            raise Unconfigured(name)
        return found
