"""An account with its settings and secrets resolved, as the providers' clients use it."""

from services.ingest.ports import Account, Secrets
from services.policy.model.intake import AccountPolicy
from services.policy.reading.channels import DECLARATIONS


class Unconfigured(Exception):  # noqa: N818 - the name reads as what happened
    """A setting or a secret is missing: nothing can be sent by this account until an operator fixes it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not configured")
        self.reason = f"NO_{name.upper()}"


class SendingAccount:
    """Settings may be references too ("env:…"), for addresses that depend on the installation."""

    def __init__(self, tenant: str, policy: AccountPolicy, secrets: Secrets) -> None:
        self.tenant = tenant
        self.policy = policy
        self._secrets = secrets

    @property
    def key(self) -> tuple[str, str, str]:
        """Return tenant, channel, account."""
        return self.tenant, self.policy.channel, self.policy.account

    def secret(self, name: str) -> str:
        """Return a secret. Raises Unconfigured without one, ChaparError when its reference can't be read."""
        return self._resolved(dict(self.policy.secrets), name)

    def setting(self, name: str) -> str:
        """Return the setting, or the default that the contract declares. Raises ChaparError when it is a reference that
        can't be read."""
        value = self.policy.settings.get(name, "")
        if value.startswith(("env:", "file:")):
            return self._resolved({name: value}, name)
        if value:
            return value
        declared = DECLARATIONS.get(self.policy.channel)
        key = declared.settings.get(name) if declared is not None else None
        return key.default if key is not None else ""

    def required(self, name: str) -> str:
        """Return the setting. Raises Unconfigured without it."""
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
