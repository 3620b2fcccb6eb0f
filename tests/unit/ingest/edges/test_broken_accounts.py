"""Accounts that can't work are known by metric, readiness detail and sentences, before a customer writes."""

from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from services.chassis.clock import ManualClock
from services.chassis.health import Health
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences
from services.ingest.adapters.edges.accounts import AccountSecrets, ConfiguredAccounts
from services.ingest.adapters.edges.broken_accounts import BrokenAccounts, problems_of
from services.ingest.metrics import METRICS
from services.ingest.ports import Account
from services.policy.reading.channels import DECLARATIONS, EDGES

PREFIX = "env:CHAPAR_SECRET_BANK__"


def secrets(env: dict[str, str]) -> AccountSecrets:
    """Return the secrets of a process with this environment."""
    return AccountSecrets(SecretReferences(ManualClock(0), env=env))


def an_account(channel: str, *without: str) -> tuple[Account, dict[str, str]]:
    """Return an account with all that its channel declares, and its environment."""
    declared = DECLARATIONS[channel]
    names = [name for name in declared.secrets if name not in without]
    settings = {name: "x" for name, key in declared.settings.items() if key.required_for and name not in without}
    account = Account("bank", channel, "main", {n: f"{PREFIX}{n.upper()}" for n in names}, settings, "fa")
    return account, {f"CHAPAR_SECRET_BANK__{n.upper()}": "value" for n in names}


REQUIRED = [
    (channel, name)
    for channel in sorted(EDGES)
    for keys in (DECLARATIONS[channel].secrets, DECLARATIONS[channel].settings)
    for name, key in keys.items()
    if key.required_for
]


@pytest.mark.parametrize(("channel", "name"), REQUIRED, ids=[f"{c}.{n}" for c, n in REQUIRED])
def test_each_required_key_is_missed(channel: str, name: str) -> None:
    """With it the account has no problem; without it the sentence names it."""
    account, env = an_account(channel)
    assert problems_of(account, secrets(env)) == ()
    account, env = an_account(channel, name)
    (problem,) = problems_of(account, secrets(env))
    assert f" {name}, so " in problem


@pytest.mark.parametrize("channel", sorted(c for c in EDGES if DECLARATIONS[c].secrets))
def test_a_secret_that_is_not_set_is_named_without_its_value(channel: str) -> None:
    """The account names it, the process does not have it."""
    account, env = an_account(channel)
    for name in account.secrets:
        rest = {variable: value for variable, value in env.items() if variable != f"CHAPAR_SECRET_BANK__{name.upper()}"}
        (problem,) = problems_of(account, secrets(rest))
        assert f"the secret {name} " in problem
        assert "can't be read from its env reference" in problem
        assert "value" not in problem


def test_a_setting_whose_reference_cannot_be_read_is_named() -> None:
    """For example the address of a provider."""
    account, env = an_account("telegram")
    broken = Account("bank", "telegram", "main", account.secrets, {"base_url": f"{PREFIX}URL"}, "fa")
    assert problems_of(broken, secrets(env)) == ("the setting base_url can't be read from its env reference",)
    assert problems_of(broken, secrets({**env, "CHAPAR_SECRET_BANK__URL": "https://api.example"})) == ()


def test_a_channel_without_an_edge_is_named() -> None:
    """A configuration from before lint knew."""
    (problem,) = problems_of(Account("bank", "voice", "main", {}, {}, "fa"), secrets({}))
    assert "no edge" in problem


def test_metric_and_readiness_follow_the_accounts(tmp_path: Path) -> None:
    """The process stays ready: other accounts work. A repaired secret needs no restart; a removed account leaves no series."""
    accounts, health, metrics, clock = ConfiguredAccounts(), Health(), Metrics(METRICS, tenants=True), ManualClock(0)
    health.set_wired()
    configured = config_pb2.TenantConfiguration(tenant="bank", default_language="fa")
    configured.channels.add(channel="webchat", account="site", secrets={"visitor_token": "file:chat/key"})
    configured.channels.add(channel="grpc", account="core")
    accounts.replace("bank", configured)
    watch = BrokenAccounts(
        accounts.all, AccountSecrets(SecretReferences(clock, tmp_path, {})), health.component("accounts"), metrics
    )
    watch.check()
    assert metrics.value("chapar_account_problems", "bank", "webchat", "site") == 1
    assert metrics.value("chapar_account_problems", "bank", "grpc", "core") == 0
    assert health.ready
    assert health.degraded()["accounts"].startswith("bank/webchat/site: the secret visitor_token ")
    (tmp_path / "bank" / "chat").mkdir(parents=True)
    (tmp_path / "bank" / "chat" / "key").write_text("secret")
    watch.check()
    assert metrics.value("chapar_account_problems", "bank", "webchat", "site") == 0
    assert health.degraded() == {}
    accounts.replace("bank", None)
    watch.check()
    assert metrics.value("chapar_account_problems", "bank", "webchat", "site") is None


def test_the_detail_is_bounded() -> None:
    """Thousands of broken accounts do not make a probe's answer of megabytes."""
    many = [Account("bank", "webchat", f"a{number}", {}, {}, "fa") for number in range(500)]
    health = Health()
    BrokenAccounts(lambda: many, secrets({}), health.component("accounts"), Metrics(METRICS)).check()
    assert "and 480 more accounts" in health.degraded()["accounts"]
    assert len(health.degraded()["accounts"]) < 4_000
