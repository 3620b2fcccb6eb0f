"""The tenants' channel accounts, indexed by how calls name them; and their secrets, read where they are kept."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.ports import Account

_KEPT_MS = 5_000
_MAX_SECRET_BYTES = 64 << 10


class ConfiguredAccounts:
    """`ports.Accounts`, rebuilt a tenant at a time when its configuration changes."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, dict[tuple[str, str], Account]] = {}
        self._by_address: dict[str, Account] = {}

    def replace(self, tenant: str, configuration: config_pb2.TenantConfiguration | None) -> None:
        """Takes over a tenant's configuration; None removes the tenant."""
        if configuration is None:
            self._by_tenant.pop(tenant, None)
        else:
            self._by_tenant[tenant] = {
                (each.channel, each.account): Account(
                    tenant,
                    each.channel,
                    each.account,
                    dict(each.secrets),
                    dict(each.settings),
                    configuration.default_language,
                )
                for each in configuration.channels
            }
        self._by_address = {
            address: account
            for accounts in self._by_tenant.values()
            for account in accounts.values()
            if account.channel == "email"
            for address in addresses_of(account)
        }

    def find(self, tenant: str, channel: str, account: str) -> Account | None:
        """The account, None when there is none."""
        accounts = self._by_tenant.get(tenant)
        return accounts.get((channel, account)) if accounts is not None else None

    def by_address(self, address: str) -> Account | None:
        """The e-mail account that receives for this address."""
        return self._by_address.get(address)


def addresses_of(account: Account) -> list[str]:
    """The addresses in an e-mail account's settings: `address`, several separated by commas or spaces."""
    return account.settings.get("address", "").lower().replace(",", " ").split()


class SecretReferences:
    """`ports.Secrets`: `env:NAME` or `file:/path`, looked up at use.

    A file is read again after five seconds, so that a rotated secret needs no restart.
    """

    def __init__(self, clock: Callable[[], int], env: Mapping[str, str] | None = None) -> None:
        self._clock = clock
        self._env = os.environ if env is None else env
        self._kept: dict[str, tuple[int, str]] = {}

    def get(self, account: Account, name: str) -> str | None:
        """The account's secret of this name; None when it has none. Raises FAILED_PRECONDITION when it can't be read."""
        reference = account.secrets.get(name)
        if not reference:
            return None
        scheme, _, where = reference.partition(":")
        secret = ""
        if scheme == "env":
            secret = self._env.get(where, "")
        elif scheme == "file":
            secret = self._file(where)
        if not secret:
            # Only the kind of reference is told: its target is the operator's business.
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                "SECRET_UNREADABLE",
                f"the secret {name} of {account.channel} account {account.account} can't be read from its "
                f"{scheme if scheme in ('env', 'file') else 'unknown'} reference",
                retry_after_s=30,
            )
        return secret

    def _file(self, path: str) -> str:
        now = self._clock()
        kept = self._kept.get(path)
        if kept is not None and now - kept[0] < _KEPT_MS:
            return kept[1]
        try:
            with Path(path).open("rb") as file:
                secret = file.read(_MAX_SECRET_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return ""
        self._kept[path] = (now, secret)
        return secret
