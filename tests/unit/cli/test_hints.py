"""The next steps that `chapar run` prints, and the key with which `chapar send` signs, for the tenant that runs."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError
from services.cli.__main__ import app
from services.cli.config.files import load
from services.cli.local.hints import hints
from services.cli.local.webhook_account import signing_secret

EXAMPLE = Path(__file__).parents[3] / "deploy" / "config" / "demo.yaml"
ENDPOINTS = {"http": "127.0.0.1:11", "smtp": "127.0.0.1:12", "grpc": "127.0.0.1:13"}
BANK = """\
tenant: bank
default_language: en
pools: [{name: branches}, {name: default}]
queues: [{name: loans, pool: branches}]
agents: [{agent_id: nora, pool: branches}]
channels:
  - {channel: webchat, account: site, secrets: {visitor_token: "env:CHAPAR_SECRET_BANK__CHAT"}}
  - {channel: webhook, account: core, secrets: {signing_secret: "env:CHAPAR_SECRET_BANK__CORE"}}
  - {channel: webhook, account: file, secrets: {signing_secret: "file:hook/key"}}
"""


def bank(tmp_path: Path, text: str = BANK) -> config_pb2.TenantConfiguration:
    """Return the configuration of a bank."""
    path = tmp_path / "bank.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    assert document.findings == []
    return document.configuration


def test_the_hints_name_the_tenant_its_accounts_its_agents_and_its_pools(tmp_path: Path) -> None:
    """None of them is of the example tenant."""
    lines = hints(bank(tmp_path), ENDPOINTS)
    assert "http://127.0.0.1:11/chat?tenant=bank&account=site" in lines
    assert ".venv/bin/chapar send --account core --curl 'Hello, what does it cost?'" in lines
    assert "webhook core: http://127.0.0.1:11/v1/bank/webhook/core" in lines
    assert ".venv/bin/chapar agents desk nora --pool branches" in lines
    assert ".venv/bin/chapar queues --watch --pool branches" in lines
    assert ".venv/bin/chapar queues --watch" in lines
    assert not [line for line in lines if "demo" in line or "sara" in line]


def test_the_hints_of_the_example_are_those_of_the_guide() -> None:
    """The README shows these commands."""
    lines = hints(load(EXAMPLE).configuration, ENDPOINTS)
    assert ".venv/bin/chapar send --curl 'سلام، قیمت چاپار چند است؟'" in lines
    assert ".venv/bin/chapar agents desk sara" in lines
    assert "http://127.0.0.1:11/chat?tenant=demo&account=main" in lines
    assert "email main: mail to support@demo.example by SMTP at 127.0.0.1:12" in lines


def test_a_tenant_without_accounts_and_agents_is_told_what_to_add(tmp_path: Path) -> None:
    """No hint names what does not exist."""
    text = "tenant: new\npools: [{name: default}]\nqueues: [{name: q, pool: default}]\n"
    lines = hints(bank(tmp_path, text), {"http": "127.0.0.1:11"})
    assert any("add an account of the channel `webchat` or `webhook`" in line for line in lines)
    assert any("add one to `agents`" in line for line in lines)
    assert not [line for line in lines if line.startswith(("http", ".venv/bin/chapar send"))]


def test_every_hinted_command_has_options_that_exist(tmp_path: Path) -> None:
    """The command line knows each command and each option that a hint uses."""
    commands = [shlex.split(line)[1:] for line in hints(bank(tmp_path), ENDPOINTS) if line.startswith(".venv/bin/")]
    assert len(commands) == 6
    for words in commands:
        path = words[:2] if words[0] in ("agents", "interactions") else words[:1]
        shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        assert [w for w in words if w.startswith("--") and w not in shown.stdout] == []


def test_names_with_spaces_can_be_pasted(tmp_path: Path) -> None:
    """A shell reads the name as one word, a browser as one parameter."""
    text = BANK.replace("account: core", "account: core bank").replace("account: site", "account: our site")
    lines = hints(bank(tmp_path, text), ENDPOINTS)
    assert ".venv/bin/chapar send --account 'core bank' --curl 'Hello, what does it cost?'" in lines
    assert "http://127.0.0.1:11/chat?tenant=bank&account=our%20site" in lines


KEY = "whsec_" + "QUJD" * 8


def test_a_message_is_signed_with_the_key_of_the_named_account(tmp_path: Path) -> None:
    """The key comes from the variable that the account's reference names."""
    assert signing_secret(bank(tmp_path), "core", {"CHAPAR_SECRET_BANK__CORE": KEY}) == KEY


@pytest.mark.parametrize(
    ("account", "variables", "reason", "words"),
    [
        ("main", {"CHAPAR_SECRET_BANK__CORE": KEY}, "NO_ACCOUNT", "(known: core, file)"),
        ("core", {}, "NO_SIGNING_SECRET", "set CHAPAR_SECRET_BANK__CORE"),
        ("core", {"CHAPAR_SECRET_BANK__CORE": "whsec_short"}, "NO_SIGNING_SECRET", "set CHAPAR_SECRET_BANK__CORE"),
        ("file", {}, "NO_SIGNING_SECRET", "is not in a variable"),
    ],
)
def test_an_account_whose_key_is_not_known_is_named(
    tmp_path: Path, account: str, variables: dict[str, str], reason: str, words: str
) -> None:
    """The message says what to set."""
    with pytest.raises(ChaparError) as refused:
        signing_secret(bank(tmp_path), account, variables)
    assert refused.value.reason == reason
    assert words in refused.value.message
