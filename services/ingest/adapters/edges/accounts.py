"""The tenants' channel accounts, indexed by the names that calls use; and their secrets, read from where they are stored."""

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.secrets import SecretReferences, scheme_of
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account


class ConfiguredAccounts:
    """Implements `ports.Accounts`; the entries of a tenant are rebuilt when its configuration changes."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, dict[tuple[str, str], Account]] = {}
        self._by_address: dict[str, Account] = {}

    def replace(self, tenant: str, configuration: config_pb2.TenantConfiguration | None) -> None:
        """Replace a tenant's configuration; None removes the tenant."""
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
        mailboxes = [
            (address, account)
            for accounts in self._by_tenant.values()
            for account in accounts.values()
            if account.channel == "email"
            for address in addresses_of(account)
        ]
        self._by_address = dict(mailboxes)
        # Every domain that receives mail has a postmaster (RFC 5321, 4.5.1): the first mailbox there, if none is named.
        for address, account in mailboxes:
            self._by_address.setdefault(f"postmaster@{address.rpartition('@')[2]}", account)

    def find(self, tenant: str, channel: str, account: str) -> Account | None:
        """Return the account, or None when there is none."""
        accounts = self._by_tenant.get(tenant)
        return accounts.get((channel, account)) if accounts is not None else None

    def all(self) -> list[Account]:
        """Return the accounts of all tenants."""
        return [account for accounts in self._by_tenant.values() for account in accounts.values()]

    def by_address(self, address: str) -> Account | None:
        """Return the e-mail account that receives for this address."""
        return self._by_address.get(address)


def addresses_of(account: Account) -> list[str]:
    """Return the addresses in an e-mail account's settings: `address`, several separated by commas or spaces."""
    return account.settings.get("address", "").lower().replace(",", " ").split()


class AccountSecrets:
    """Implements `ports.Secrets` over the references in the accounts' configuration."""

    def __init__(self, references: SecretReferences) -> None:
        self._references = references

    def get(self, account: Account, name: str) -> str | None:
        """Return the account's secret of this name; None when it has none. Raises UNAVAILABLE when it can't be read."""
        reference = account.secrets.get(name)
        if not reference:
            return None
        secret = self._references.read(account.tenant, reference)
        if not secret:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.SECRET_UNREADABLE,
                f"the secret {name} of {account.channel} account {account.account} can't be read from its "
                f"{scheme_of(reference)} reference",
                retry_after_s=30,
            )
        return secret
