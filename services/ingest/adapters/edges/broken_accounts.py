"""Watches the tenants' channel accounts: a missing or unreadable secret or setting is known before a customer writes.

Each account's problems are in a metric, in the detail of `/readyz` (the process stays ready: other accounts work) and,
when they change, in the log. Values of secrets are in none of them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from services.chassis.errors import ChaparError
from services.chassis.health import Component
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.ingest.ports import Account, Secrets
from services.policy.model.channels import AccountKey
from services.policy.reading.channels import DECLARATIONS

_EVERY_S: Final = 5.0
"""As often as secrets in files are read again."""
_SHOWN: Final = 20
_REFERENCES: Final = ("env:", "file:")
_Key = tuple[str, str, str]


def problems_of(account: Account, secrets: Secrets) -> tuple[str, ...]:
    """Return what an account lacks, as sentences; empty for an account that can work."""
    declared = DECLARATIONS.get(account.channel)
    if declared is None or not declared.has_edge:
        return (f"Chapar has no edge for the channel {account.channel}",)
    return (*_secrets(account, declared.secrets, secrets), *_settings(account, declared.settings, secrets))


class BrokenAccounts:
    """Checks all accounts again and again; see the module's docstring."""

    def __init__(
        self, accounts: Callable[[], Iterable[Account]], secrets: Secrets, health: Component, metrics: Metrics
    ) -> None:
        self._accounts = accounts
        self._secrets = secrets
        self._health = health
        self._problems = metrics.combined("chapar_account_problems")
        self._before: dict[_Key, tuple[str, ...]] = {}
        self._log = get_logger(__name__)
        health.set(True)

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(_EVERY_S)

    def check(self) -> None:
        """Check each account once."""
        found = {(a.tenant, a.channel, a.account): problems_of(a, self._secrets) for a in self._accounts()}
        for key in self._before.keys() - found.keys():
            self._problems.remove(*key)
        for key, problems in found.items():
            self._problems.set(*key, to=len(problems))
            if problems != self._before.get(key, ()):
                tenant, channel, account = key
                say = self._log.warning if problems else self._log.info
                word = "channel account does not work" if problems else "channel account works again"
                say(word, tenant=tenant, channel=channel, account=account, problems=list(problems))
        self._before = found
        self._health.degraded = _summary({key: problems for key, problems in found.items() if problems})


def _summary(broken: Mapping[_Key, tuple[str, ...]]) -> str:
    shown = [f"{'/'.join(key)}: {', '.join(problems)}" for key, problems in sorted(broken.items())[:_SHOWN]]
    more = len(broken) - len(shown)
    return "; ".join([*shown, *([f"and {more} more accounts"] if more > 0 else [])])


def _secrets(account: Account, declared: Mapping[str, AccountKey], secrets: Secrets) -> Iterator[str]:
    for name, key in declared.items():
        try:
            found = secrets.get(account, name)
        except ChaparError as error:
            yield error.message
            continue
        if not found and key.required_for:
            yield f"it has no secret {name}, so {key.required_for}"


def _settings(account: Account, declared: Mapping[str, AccountKey], secrets: Secrets) -> Iterator[str]:
    for name, key in declared.items():
        value = account.settings.get(name, "")
        if value.startswith(_REFERENCES):
            try:
                value = secrets.get(replace(account, secrets={name: value}), name) or ""
            except ChaparError:
                yield f"the setting {name} can't be read from its {value.partition(':')[0]} reference"
                continue
        if not value and key.required_for:
            yield f"it has no setting {name}, so {key.required_for}"
