"""Lint of channel accounts, templates and rules: each fault is named with its line and its remedy, by lint and by the JSON Schema."""

import difflib
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.testing import CliRunner

from services.cli.__main__ import app
from services.cli.config.files import Finding, load, schema
from services.cli.config.lint import lint
from services.policy.model.channels import EXAMPLES, AccountKey, ValueKind
from services.policy.model.groups import ADDRESSED, EACH, IGNORE
from services.policy.model.mail_proof import HOPS, NONE, ONE_HOP, WAYS
from services.policy.reading.channels import CHANNELS, DECLARATIONS, EDGES

START = """\
tenant: bank
pools: [{name: default}]
queues:
  - {name: sales, pool: default}
  - {name: rest, pool: default}
rules:
  - {name: mails, when: channel == "email", queue: sales}
  - {name: everything else, queue: rest}
templates: [{name: acknowledgement, texts: {en: We have your message.}}]
channels:
"""
ACCOUNTS = {
    "webchat": """\
  - channel: webchat
    account: main
    secrets: {visitor_token: "env:CHAPAR_SECRET_BANK__CHAT", identity_secret: "file:chat/identity"}
    settings: {origins: "https://bank.example, https://www.bank.example", keep_original: "true"}
""",
    "telegram": """\
  - channel: telegram
    account: main
    secrets: {webhook_secret: "env:CHAPAR_SECRET_BANK__HOOK", bot_token: "file:telegram/token"}
    settings: {base_url: "env:CHAPAR_SECRET_BANK__TELEGRAM_URL", keep_original: "false", groups: addressed, bot_username: bank_bot}
""",
    "whatsapp": """\
  - channel: whatsapp
    account: main
    secrets: {app_secret: "file:wa/app", verify_token: "file:wa/verify", access_token: "file:wa/access"}
    settings:
      groups: ignore
      keep_original: "false"
      phone_number_id: "100200300"
      reply_window_hours: "72"
      api_version: v23.0
      media_hosts: lookaside.fbsbx.com
      base_url: "https://graph.facebook.com"
    approved_templates:
      - {name: reply_to_you, language: en_US, category: utility, body: "About your message: {{1}}. Write to us again."}
    outside_window: {template: reply_to_you, parameters: ["{text}"]}
""",
    "webhook": """\
  - channel: webhook
    account: main
    secrets: {signing_secret: "file:hook/key", signing_secret_previous: "file:hook/old"}
    settings: {reply_url: "https://hooks.bank.example/chapar", keep_original: "false"}
""",
    "email": """\
  - channel: email
    account: main
    secrets: {reply_token: "file:mail/token", smtp_password: "file:mail/password"}
    settings:
      address: help@bank.example, loans@bank.example
      smtp_url: "smtps://help@mail.bank.example"
      from_name: Bank
      keep_original: "true"
      recipients: customer
      message_id_domain: bank.example
      authentication: trusted_results
      authserv_id: mx.bank.example
      trusted_hops: "2"
""",
    "grpc": '  - {channel: grpc, account: default, settings: {keep_original: "true"}}\n',
}
GOOD = START + "".join(ACCOUNTS.values())
KEYS = [
    (channel, part, key)
    for channel, declared in DECLARATIONS.items()
    for part, keys in (("secrets", declared.secrets), ("settings", declared.settings))
    for key in keys.values()
]


def findings(directory: Path, text: str) -> list[Finding]:
    """Return lint's findings about a file that can be read."""
    path = directory / "bank.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    assert document.findings == [], "the file can't be read"
    lint(document)
    return document.findings


def fits_schema(text: str) -> bool:
    """Return whether an editor with the JSON Schema shows no error."""
    return bool(Draft202012Validator(schema()).is_valid(YAML(typ="safe").load(text)))


def test_accounts_with_every_secret_and_setting_have_no_finding(tmp_path: Path) -> None:
    """Lint and schema accept one account of each channel with all of its keys."""
    assert [str(f) for f in findings(tmp_path, GOOD)] == []
    assert fits_schema(GOOD)
    assert ACCOUNTS.keys() == EDGES
    for channel, _, key in KEYS:
        assert f"{key.name}:" in ACCOUNTS[channel]


FAULTS = {
    "a channel without an edge": ("channel: webhook", "channel: voice", "NO_EDGE", "channel: voice", "Remove it"),
    "another one": ("channel: grpc", "channel: sms", "NO_EDGE", "channel: sms", "email, grpc, telegram"),
    "a channel that only sounds like one": ("channel: grpc", "channel: bale", "NO_EDGE", "channel: bale", "Remove it"),
    "a misspelt channel": ("channel: grpc", "channel: gprc", "UNKNOWN_CHANNEL", "channel: gprc", "`grpc`?"),
    "a missing secret": (', bot_token: "file:telegram/token"', "", "MISSING_SECRET", "channel: telegram", "CHAPAR_SECRET_BANK__BOT_TOKEN"),
    "an empty secret": ('"file:hook/key"', '""', "MISSING_SECRET", "channel: webhook", "signing_secret"),
    "a mail server's password": (
        ', smtp_password: "file:mail/password"', "", "MISSING_SECRET", "channel: email", "CHAPAR_SECRET_BANK__SMTP_PASSWORD"),
    "an e-mail account without address": (
        "      address: help@bank.example, loans@bank.example\n", "", "MISSING_SETTING", "channel: email", "support@example.com"),
    "an e-mail account without mail server": ('      smtp_url: "smtps://help@mail.bank.example"\n', "", "MISSING_SETTING", "channel: email", "smtps://"),
    "a misspelt setting": ("from_name:", "form_name:", "UNKNOWN_SETTING", "form_name:", "`from_name`?"),
    "a misspelt secret": ("verify_token", "verfy_token", "UNKNOWN_SECRET", "verfy_token", "`verify_token`?"),
    "a secret among the settings": ("from_name: Bank", "smtp_password: x", "UNKNOWN_SETTING", "smtp_password: x", "move it to `secrets`"),
    "a key of no channel": ("account: default,", 'account: default, secrets: {colour: "file:grpc/red"},', "UNKNOWN_SECRET", "colour", "remove it"),
    "a misspelt value": ("trusted_results", "trusted_result", "UNKNOWN_VALUE", "trusted_result", "`trusted_results`?"),
    "too many hops": ('"2"', '"10"', "UNKNOWN_VALUE", "trusted_hops", "1, 2, 3"),
    "no address": ("help@bank.example, loans@bank.example", "help", "BAD_SETTING", "address", "support@example.com"),
    "an origin with a path": ("https://www.bank.example", "https://www.bank.example/chat", "BAD_SETTING", "origins", "https://shop.example"),
    "a number that is none": ('"100200300"', '"+98 21"', "BAD_SETTING", "phone_number_id", "digits"),
    "a reference that no edge resolves": (
        '"100200300"', '"env:CHAPAR_SECRET_BANK__NUMBER"', "REFERENCE_NOT_READ", "phone_number_id", "write the value"),
    "a window that is no number": ('"72"', '"a day"', "BAD_SETTING", "reply_window_hours", "digits"),
    "a template without a name": ("name: reply_to_you, l", 'name: "Reply!", l', "APPROVED_TEMPLATE", "Reply!", "a-z, 0-9"),
    "a language that is none": ("en_US", "english", "APPROVED_TEMPLATE", "english", "fa or en_US"),
    "a gap between parameters": ("{{1}}.", "{{2}}.", "APPROVED_TEMPLATE", "{{2}}", "without gaps"),
    "a rule for another template": (
        "template: reply_to_you,", "template: hello,", "OUTSIDE_WINDOW", "outside_window", "no approved template `hello`"),
    "a parameter too many": ('["{text}"]', '["{text}", "{name}"]', "OUTSIDE_WINDOW", "outside_window", "has 1 parameters"),
    "an empty parameter": ('["{text}"]', '[""]', "OUTSIDE_WINDOW", "outside_window", "do not fit"),
    "templates of a bot": (
        "bot_username: bank_bot}", "bot_username: bank_bot}\n    outside_window: {template: hello}", "APPROVED_TEMPLATE",
        "channel: telegram", "only accounts of whatsapp"),
    "a misspelt template": ("name: acknowledgement", "name: acknowledgment", "UNKNOWN_TEMPLATE", "templates:", "`acknowledgement`?"),
    "a template of nothing": ("name: acknowledgement", "name: greeting", "UNKNOWN_TEMPLATE", "templates:", "survey_invitation"),
    "no rule for the rest": (
        "{name: everything else, queue", '{name: everything else, when: language == "fa", queue', "NO_CATCH_ALL",
        "everything else", "without `when`"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "words", "remedy"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_named_with_its_line_and_its_remedy(
    tmp_path: Path, old: str, new: str, code: str, words: str, remedy: str
) -> None:
    """One fault in a good file gives that finding, on its line, with what to do."""
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    (finding,) = [f for f in findings(tmp_path, text) if f.code == code]
    assert words in text.splitlines()[finding.line - 1]
    assert remedy in finding.message


_ONLY_LINT = ("NO_CATCH_ALL", "UNKNOWN_TEMPLATE", "APPROVED_TEMPLATE", "OUTSIDE_WINDOW")
EDITOR = [name for name in FAULTS if FAULTS[name][2] not in _ONLY_LINT]


@pytest.mark.parametrize("name", [n for n in EDITOR if n not in ("an empty secret", "a mail server's password")])
def test_an_editor_shows_the_same_faults_of_accounts(name: str) -> None:
    """The JSON Schema refuses the account. (It cannot see that a URL names a user.)"""
    old, new, *_ = FAULTS[name]
    assert not fits_schema(GOOD.replace(old, new))


def misspelt(name: str) -> Iterator[str]:
    """Yield every spelling with one letter left out, doubled, replaced or exchanged with the next one."""
    for at, letter in enumerate(name):
        yield name[:at] + name[at + 1 :]
        yield name[:at] + letter + name[at:]
        yield from (name[:at] + other + name[at + 1 :] for other in "eqx_" if other != letter)
        if name[at + 1 : at + 2] not in ("", letter):
            yield name[:at] + name[at + 1] + letter + name[at + 2 :]


@pytest.mark.parametrize(("channel", "part", "key"), KEYS, ids=[f"{c}.{k.name}" for c, _, k in KEYS])
def test_every_key_that_is_misspelt_by_one_letter_is_found(
    tmp_path: Path, channel: str, part: str, key: AccountKey
) -> None:
    """Lint names the right key for each misspelling; the schema refuses it. Each file holds all misspellings of one key."""
    wrong = sorted(set(misspelt(key.name)))
    example = '"file:x"' if part == "secrets" else '"1"'
    text = START + f"  - channel: {channel}\n    account: main\n    {part}:\n"
    text += "".join(f"      {name}: {example}\n" for name in wrong)
    found = {f.line: f.message for f in findings(tmp_path, text) if f.code == f"UNKNOWN_{part[:-1].upper()}"}
    lines = text.splitlines()
    assert sorted(lines[line - 1].strip().partition(":")[0] for line in found) == wrong
    assert all(f"did you mean `{key.name}`?" in message for message in found.values())
    rule = next(r["then"] for r in account_rules() if r["if"]["properties"]["channel"]["const"] == channel)
    assert rule["properties"][part]["additionalProperties"] is False
    assert not set(wrong) & rule["properties"][part]["properties"].keys()


@given(st.sampled_from(KEYS), st.integers(0, 40), st.sampled_from([*string.ascii_lowercase, "_"]))
def test_a_letter_that_is_added_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, str, AccountKey], at: int, letter: str
) -> None:
    """The property over all letters and places."""
    channel, part, key = case
    at %= len(key.name) + 1
    name = key.name[:at] + letter + key.name[at:]
    text = START + f"  - channel: {channel}\n    account: main\n    {part}: {{{name}: x}}\n"
    found = [f for f in findings(tmp_path_factory.mktemp("x"), text) if f.code == f"UNKNOWN_{part[:-1].upper()}"]
    assert [f"did you mean `{key.name}`?" in f.message for f in found] == [True]


def account_rules() -> list[dict[str, Any]]:
    """Return the rules of the schema, one for each channel."""
    found: list[dict[str, Any]] = schema()["properties"]["channels"]["items"]["allOf"]
    return found


def test_the_schema_describes_every_key_for_the_editor() -> None:
    """Each key of each channel has its meaning, its values and its default in the schema."""
    rules = {r["if"]["properties"]["channel"]["const"]: r["then"] for r in account_rules()}
    assert rules.keys() == EDGES
    for channel, part, key in KEYS:
        described = rules[channel]["properties"][part]["properties"][key.name]
        assert described["description"].startswith(key.meaning)
        assert described.get("enum", []) == list(key.values)
        assert described.get("default", "") == key.default
        assert (key.name in rules[channel]["properties"][part].get("required", [])) == bool(key.required_for)


def test_a_reference_to_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`chapar config lint` warns with file and line; --elsewhere says that the services have other variables."""
    path = tmp_path / "bank.yaml"
    path.write_text(GOOD, encoding="utf-8")
    names = ("CHAPAR_SECRET_BANK__CHAT", "CHAPAR_SECRET_BANK__HOOK", "CHAPAR_SECRET_BANK__TELEGRAM_URL")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    run = CliRunner()
    shown = run.invoke(app, ["config", "lint", str(path)])
    assert shown.exit_code == 0, "a warning: the services may run elsewhere"
    for name in names:
        line = 1 + next(i for i, text in enumerate(GOOD.splitlines()) if name in text)
        assert f"{path}:{line}: warning: " in shown.stdout
        assert f"the variable {name}, which is not set here" in shown.stdout
    assert "SECRET_NOT_SET" not in run.invoke(app, ["config", "lint", "--elsewhere", str(path)]).stdout
    for name in names:
        monkeypatch.setenv(name, "x")
    assert "SECRET_NOT_SET" not in run.invoke(app, ["config", "lint", str(path)]).stdout


def test_a_queue_that_only_recoveries_lead_to_is_reachable(tmp_path: Path) -> None:
    """A recovery opens its interaction in its queue."""
    text = GOOD.replace(
        "- {name: rest, pool: default}\n", "- {name: rest, pool: default}\n  - {name: unhappy, pool: default}\n"
    )
    assert [f.code for f in findings(tmp_path, text)] == ["UNREACHABLE_QUEUE"]
    text += "surveys: [{name: s, kind: csat, sampling: 1, questions: {fa: چطور بود؟, en: How was it?}}]\n"
    assert [str(f) for f in findings(tmp_path, text + "recoveries: [{name: r, at_most: 2, queue: unhappy}]\n")] == []


def test_the_proof_of_mails_has_the_declared_values_and_defaults() -> None:
    """The edge's constants and the declaration cannot differ."""
    settings = DECLARATIONS["email"].settings
    assert (settings["authentication"].values, settings["authentication"].default) == (WAYS, NONE)
    assert (frozenset(settings["trusted_hops"].values), settings["trusted_hops"].default) == (HOPS, ONE_HOP)


@pytest.mark.parametrize("channel", ["telegram", "whatsapp"])
def test_the_choices_of_groups_are_the_declared_ones(channel: str) -> None:
    """The edge's constants and the declaration cannot differ."""
    groups = DECLARATIONS[channel].settings["groups"]
    assert set(groups.values) == {EACH, ADDRESSED, IGNORE}
    assert groups.default == EACH


def test_declarations_are_complete() -> None:
    """Each default is a valid value, each kind has an example, and no two keys of a channel are within one letter."""
    assert EDGES < CHANNELS
    assert EXAMPLES.keys() == set(ValueKind)
    for channel, _, key in KEYS:
        assert not key.default or key.accepts(key.default)
        others = [k.name for c, _, k in KEYS if c == channel and k is not key]
        assert difflib.get_close_matches(key.name, others, n=1, cutoff=0.95) == []
