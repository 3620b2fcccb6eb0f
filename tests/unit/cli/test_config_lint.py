"""Lint of routing: a valid configuration that uses every feature gives no finding; each mistake in it gives its own finding, on its line."""

from pathlib import Path

import pytest

from services.chassis.destinations import destinations
from services.cli.config.files import Document, load
from services.cli.config.lint import lint

SOUND = """\
tenant: shop
pools: [{name: default}, {name: night}]
skills: [{name: french}, {name: sales}, {name: dynamodb}, {name: region=north}]
queues:
  - name: sales
    pool: default
    priority: 5
    requirements:
      - {attribute: sales, number: 5}
      - {any_of: [{attribute: french, number: 7}, {all_of: [{attribute: region, text: north}, {attribute: dynamodb, operator: has}]}]}
    order: deadline
    sticky: 10s
    sticky_team: 5s
    ageing_per_minute: 1
    max_offers: 2
    keep_free: 1
    rings:
      - {after: 30s, lower: {sales: 3}}
      - {after: 60s, drop: [sales], queues: [support]}
    overflow:
      - {name: too many, when: length, threshold: 10, queue: support, add_priority: 10}
      - {name: urgent, when: wait, threshold: 60s, set_priority: 10}
      - {name: slow, when: estimate, threshold: 5m, queue: support, requirements: [{attribute: french, number: 3}]}
      - {name: bad day, when: service_level, threshold: 0.5, cancel: true}
  - name: support
    pool: default
    ageing_per_minute: 1
    delay: 20s
    service_level: 1m
    choice: skill_score
    match_window: 1s
  - {name: late, pool: night, ageing_per_minute: 1}
agents:
  - {agent_id: a, pool: default, skills: {sales: 8, french: 9}, queues: [sales], team: red, capacity_profile: p}
  - {agent_id: b, pool: default, skills: {sales: 4, region=north: 1, dynamodb: 1}, queues: [sales], team: red, capacity_profile: p}
  - {agent_id: c, pool: default, skills: {french: 5}, queues: [support], capacity_profile: p}
  - {agent_id: n, pool: night, capacity_profile: p}
rules:
  - name: french
    when: language == "fr"
    queue: sales
    requirements: [{attribute: french, number: 8, steps: [{after: 20s, number: 6}, {after: 40s, number: 3}], expires_after: 90s}]
  - {name: night, when: labels.night == "yes", queue: late}
  - {name: rest, queue: support, priority: 2}
capacity_profiles:
  - name: p
    total: 100
    default_weight: 20
    occupancy_limit: 0.85
    occupancy_window: 10m
    channels:
      - {channel: voice, weight: 100, exclusive: true, interrupts: [email]}
      - {channel: email, weight: 10, maximum: 5}
channels: [{channel: grpc, account: default}]
sla_policies:
  - name: chat
    targets: [{kind: pick_up, desired: 60s, adequate: 2m}, {kind: first_response, desired: 1m, adequate: 3m, predict: {probability: 0.7}}]
webhooks: [{name: crm, url: "https://crm.example/hook", secrets: {signing: "env:CHAPAR_SECRET_SHOP__CRM"}, events: [sla.breached]}]
"""


def checked(tmp_path: Path, text: str) -> Document:
    """Return the document with lint's findings for a file."""
    path = tmp_path / "tenant.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    assert document.findings == [], "the file can't be read"
    lint(document)
    return document


def edited(*edits: tuple[str, str]) -> str:
    """Return the valid configuration with some words replaced."""
    text = SOUND
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} appears {text.count(old)} times"
        text = text.replace(old, new)
    return text


def test_a_valid_configuration_gives_no_finding(tmp_path: Path) -> None:
    """The configuration uses everything that can be configured."""
    assert [str(f) for f in checked(tmp_path, SOUND).findings] == []


CHANNELS_LINE = "channels: [{channel: grpc, account: default}]\n"
DROP_SALES = "drop: [sales], queues: [support]"
FRENCH = "number: 8, steps: [{after: 20s, number: 6}, {after: 40s, number: 3}], expires_after: 90s"
LAST_STEP = "{after: 40s, number: 3}"
URGENT = "threshold: 60s, set_priority: 10"

BROKEN = {
    # webhooks
    "a webhook by plain http": ("WEBHOOK", "https://crm", "http://crm"),
    "a webhook without a secret": ("WEBHOOK", '{signing: "env:CHAPAR_SECRET_SHOP__CRM"}', "{}"),
    "a webhook with its secret in clear": ("SECRET_IN_CLEAR", "env:CHAPAR_SECRET_SHOP__CRM", "whsec_abc"),
    "a mail account with a misspelt proof": (
        "UNKNOWN_VALUE", "{channel: grpc, account: default}",
        "{channel: grpc, account: default}, {channel: email, account: help, settings: {authentication: dkimm}}"),
    "a mail account that trusts no named server": (
        "MAIL_PROOF", "{channel: grpc, account: default}",
        "{channel: grpc, account: default}, {channel: email, account: help, settings: {authentication: trusted_results}}"),
    "an account with a misspelt choice of groups": (
        "UNKNOWN_VALUE", "{channel: grpc, account: default}",
        "{channel: grpc, account: default}, {channel: telegram, account: bot, settings: {groups: none}}"),
    "an account that no member of a group can address": (
        "GROUPS", "{channel: grpc, account: default}",
        "{channel: grpc, account: default}, {channel: telegram, account: bot, settings: {groups: addressed}}"),
    "a webhook with a secret of the platform": (
        "SECRET_OUTSIDE", "env:CHAPAR_SECRET_SHOP__CRM", "env:CHAPAR_SLA_JWT__SECRET"),
    "a channel with a secret of the platform": (
        "SECRET_OUTSIDE", "account: default}", 'account: default, secrets: {key: "file:/run/chapar/tokens"}}'),
    "a setting with another tenant's secret": (
        "SECRET_OUTSIDE", "account: default}", 'account: default, settings: {base_url: "env:CHAPAR_SECRET_OTHER__URL"}}'),
    "a path out of the tenant's directory": (
        "SECRET_OUTSIDE", "account: default}", 'account: default, secrets: {key: "file:a/../../other/key"}}'),
    "a webhook for no event": ("UNKNOWN_EVENT", "[sla.breached]", "[sla.broken]"),
    # names
    "UNKNOWN_SKILL in a group": ("UNKNOWN_SKILL", "{attribute: french, number: 7}", "{attribute: frensh, number: 7}"),
    "UNKNOWN_SKILL in a ring": ("UNKNOWN_SKILL", "drop: [sales]", "drop: [sale]"),
    "UNKNOWN_SKILL of an agent": ("UNKNOWN_SKILL", "region=north: 1", "city=north: 1"),
    "UNKNOWN_QUEUE of an overflow": ("UNKNOWN_QUEUE", "threshold: 10, queue: support", "threshold: 10, queue: suport"),
    "UNKNOWN_QUEUE of a ring": ("UNKNOWN_QUEUE", DROP_SALES, "drop: [sales], queues: [suport]"),
    "OTHER_POOL of an agent": ("OTHER_POOL", "queues: [support], capacity", "queues: [support, late], capacity"),
    "OTHER_POOL of an overflow": ("OTHER_POOL", "threshold: 10, queue: support", "threshold: 10, queue: late"),
    "OTHER_POOL of a ring": ("OTHER_POOL", DROP_SALES, "drop: [sales], queues: [late]"),
    # requirements
    "neither attribute nor group": ("BAD_REQUIREMENT", "{attribute: sales, number: 5}", "{number: 5}"),
    "attribute and group": ("BAD_REQUIREMENT", "{any_of:", "{attribute: french, any_of:"),
    "in nothing": ("BAD_REQUIREMENT", "operator: has}", "operator: in}"),
    "four levels": (
        "TOO_DEEP",
        "{attribute: dynamodb, operator: has}",
        "{any_of: [{all_of: [{attribute: dynamodb, operator: has}]}]}",
    ),
    "steps backwards inside a group": (
        "STEPS_OUT_OF_ORDER", "{attribute: french, number: 7}", "{attribute: french, steps: [{after: 9s}, {after: 8s}]}"),
    "a forecast that is certain": (
        "PREDICTION_PROBABILITY", "adequate: 2m}, {kind: first", "adequate: 2m, predict: {probability: 1, add_priority: 5}}, {kind: first"),
    "a forecast of nothing": ("PREDICTION_PROBABILITY", "adequate: 2m}, {kind: first", "adequate: 2m, predict: {add_priority: 5}}, {kind: first"),
    "a forecast of a target that is met": (
        "PREDICTION_OF_LITTLE", "adequate: 2m}, {kind: first", "adequate: 2m, predict: {probability: 0.05, add_priority: 5}}, {kind: first"),
    "a forecast that lowers": (
        "OUT_OF_RANGE", "adequate: 2m}, {kind: first", "adequate: 2m, predict: {probability: 0.7, add_priority: -5}}, {kind: first"),
    "a target of years": ("OUT_OF_RANGE", "desired: 60s, adequate: 2m", "desired: 400d, adequate: 400d"),
    "a time inside a group": ("TIME_IN_GROUP", "{attribute: french, number: 7}", "{attribute: french, expires_after: 9s}"),
    # eligible agents
    "no agent is good enough": ("NOBODY_CAN_MEET", FRENCH, "number: 10"),
    "no agent after an overflow": ("NOBODY_CAN_MEET", "{attribute: french, number: 3}", "{attribute: french, number: 6}"),
    "no agent in the queue": ("NOBODY_CAN_MEET", "queues: [support], capacity", "queues: [sales], capacity"),
    "an agent after the last step only": ("ONLY_AFTER", "number: 8, steps: [{after: 20s, number: 6}", "number: 12, steps: [{after: 20s, number: 11}"),
    "the whole team is kept free": ("KEEPS_ALL_FREE", "keep_free: 1", "keep_free: 3"),
    "a match window with another choice": ("POINTLESS_WINDOW", "choice: skill_score", "choice: load_ratio"),
    "a match window with keep_free": ("POINTLESS_WINDOW", "match_window: 1s", "match_window: 1s\n    keep_free: 1"),
    "a match window with preferred rings": ("POINTLESS_WINDOW", "match_window: 1s", "match_window: 1s\n    prefer_rings: true"),
    "a preference among no rings": ("NO_RINGS", "match_window: 1s", "prefer_rings: true"),
    "a rule on entering that waits for offers": (
        "FIRES_BEFORE_OFFERS", "when: length, threshold: 10", "when: length, waits_for_offer: true, threshold: 10"),
    "a match window that is too long": ("OUT_OF_RANGE", "match_window: 1s", "match_window: 61s"),
    "a match window longer than the target": ("WINDOW_BREAKS_TARGET", "match_window: 1s", "match_window: 61s"),
    "no team": ("NO_TEAM", "delay: 20s", "sticky_team: 5s"),
    # relaxation
    "steps backwards": ("STEPS_OUT_OF_ORDER", LAST_STEP, "{after: 10s, number: 3}"),
    "a step at once": ("STEPS_OUT_OF_ORDER", "{after: 20s, number: 6}", "{number: 6}"),
    "a step that rises": ("NEVER_WIDENS", LAST_STEP, "{after: 40s, number: 9}"),
    "a step that sinks where it should rise": ("NEVER_WIDENS", "french, number: 8, steps", "french, operator: at_most, number: 8, steps"),
    "a step of a label": ("NEVER_WIDENS", "french, number: 8, steps", "french, text: north, steps"),
    "a step after the expiry": ("NEVER_WIDENS", "expires_after: 90s", "expires_after: 30s"),
    "an expiry of what every agent meets": (
        "NEVER_WIDENS", "{attribute: french, number: 3}", "{attribute: french, number: 3, expires_after: 9s}"),
    "rings out of order": ("RINGS_OUT_OF_ORDER", "{after: 60s, drop", "{after: 20s, drop"),
    "a ring at once": ("RING_AT_ONCE", "{after: 30s, lower", "{lower"),
    "a ring without anything": ("NEVER_WIDENS", ", lower: {sales: 3}", ""),
    "a ring that drops what is not required": ("NEVER_WIDENS", "drop: [sales]", "drop: [team, sales]"),
    "a ring that drops again": ("NEVER_WIDENS", ", lower: {sales: 3}", ", drop: [sales]"),
    "a ring that lowers what was dropped": ("NEVER_WIDENS", DROP_SALES, "drop: [sales], lower: {sales: 1}"),
    "a ring that lowers to more": ("NEVER_WIDENS", "lower: {sales: 3}", "lower: {sales: 6}"),
    "a ring that lowers no further": ("NEVER_WIDENS", DROP_SALES, "lower: {sales: 3}"),
    "a ring that lowers what is not required": ("NEVER_WIDENS", "lower: {sales: 3}", "lower: {sales: 3, region: 1}"),
    "a ring that adds its own queue": ("NEVER_WIDENS", DROP_SALES, "drop: [sales], queues: [sales]"),
    "a ring that adds no agent": ("NEVER_WIDENS", "queues: [support], capacity_profile", "capacity_profile"),
    # overflow
    "overflow to itself": ("OVERFLOW_LOOP", "threshold: 10, queue: support", "threshold: 10, queue: sales"),
    "overflow to and fro": ("OVERFLOW_LOOP", "delay: 20s", "overflow: [{name: back, when: length, threshold: 1, queue: sales}]"),
    "no trigger": ("NO_TRIGGER", "when: wait, threshold: 60s, ", ""),
    "a wait without a time": ("THRESHOLD", URGENT, "threshold: 60, set_priority: 10"),
    "a length with a time": ("THRESHOLD", "threshold: 10,", "threshold: 10s,"),
    "a share above one": ("THRESHOLD", "threshold: 0.5", "threshold: 50"),
    "overflow without action": ("NO_ACTION", URGENT, "threshold: 60s"),
    "cancel and more": ("NO_ACTION", "cancel: true", "cancel: true, queue: support"),
    "overflow without a name": ("NAMELESS", "name: urgent, ", ""),
    "overflow twice": ("DUPLICATE", "name: urgent", "name: too many"),
    # reach
    "no way into a queue": ("UNREACHABLE_QUEUE", 'when: labels.night == "yes", queue: late', "queue: sales"),
    "no rule for the rest": ("NO_CATCH_ALL", "- {name: rest, queue: support, priority: 2}", "- {name: rest, when: public, queue: support}"),
    # targets
    "no target": ("NO_PICK_UP_TARGET", "kind: pick_up", "kind: resolution"),
    "adequate below desired": ("CONTRADICTING_LEVELS", "adequate: 2m", "adequate: 50s"),
    "two targets of one kind": ("DUPLICATE", "adequate: 2m}", "adequate: 2m}, {kind: pick_up, desired: 60s}"),
    "a level above the target": ("SERVICE_LEVEL_ABOVE_TARGET", "service_level: 1m", "service_level: 61s"),
    "the default level above the target": ("SERVICE_LEVEL_ABOVE_TARGET", "desired: 60s", "desired: 19s"),
    "a delay above the target": ("DELAY_BREAKS_TARGET", "delay: 20s", "delay: 61s"),
    "sticky above the target": ("STICKY_BREAKS_TARGET", "sticky: 10s", "sticky: 56s"),
    # starvation
    "a rule is more urgent": ("MAY_STARVE", "ageing_per_minute: 1}", "ageing_per_minute: 0}\n  - {name: x, pool: night, priority: 1}"),
    "the neighbour ages": ("MAY_STARVE", "ageing_per_minute: 1\n    delay", "delay"),
    # numbers
    "not a number": ("OUT_OF_RANGE", "{attribute: sales, number: 5}", "{attribute: sales, number: .nan}"),
    "without end": ("OUT_OF_RANGE", "lower: {sales: 3}", "lower: {sales: -.inf}"),
    "a negative time": ("OUT_OF_RANGE", "sticky: 10s", "sticky_ms: -1"),
    "an endless time": ("OUT_OF_RANGE", "delay: 20s", "delay: 400d"),
    "negative ageing": ("OUT_OF_RANGE", "ageing_per_minute: 1\n    max", "ageing_per_minute: -1\n    max"),
    "more offers than ten": ("OUT_OF_RANGE", "max_offers: 2", "max_offers: 11"),
    "fewer than no agent": ("OUT_OF_RANGE", "keep_free: 1", "keep_free: -1"),
    "a goal above one": ("OUT_OF_RANGE", "order: deadline", "order: adaptive\n    service_level_goal: 80"),
    "always busy": ("OUT_OF_RANGE", "occupancy_limit: 0.85", "occupancy_limit: 1"),
    "busy in per cent": ("OUT_OF_RANGE", "occupancy_limit: 0.85", "occupancy_limit: 85"),
    "a negative weight": ("OUT_OF_RANGE", "{attribute: sales, number: 5}", "{attribute: sales, number: 5, weight: -1}"),
    # capacity
    "a window alone": ("WINDOW_WITHOUT_LIMIT", "occupancy_limit: 0.85", "occupancy_limit: 0"),
    "more than all": ("IMPOSSIBLE_CHANNEL", "weight: 100, exclusive: true", "weight: 101, exclusive: true"),
    "weightless": ("IMPOSSIBLE_CHANNEL", "{channel: email, weight: 10, maximum: 5}", "{channel: sms}"),
    "the rest is more than all": ("IMPOSSIBLE_CHANNEL", "default_weight: 20", "default_weight: 101"),
    "no agent takes it": ("CHANNEL_NOT_SERVED", "default_weight: 20", "default_weight: 0"),
    "interrupts an unknown channel": ("UNKNOWN_CHANNEL", "interrupts: [email]", "interrupts: [mail]"),
    "a profile with an unknown channel": ("UNKNOWN_CHANNEL", "{channel: email, weight", "{channel: mail, weight"),
    "excludes an unknown channel": ("UNKNOWN_CHANNEL", "{channel: email, weight", "{channel: email, excludes: [mail], weight"),
    "excludes itself": ("POINTLESS_EXCLUSION", "{channel: email, weight", "{channel: email, excludes: [email], weight"),
    "excludes beside exclusive": ("POINTLESS_EXCLUSION", "exclusive: true", "exclusive: true, excludes: [email]"),
    "a warning before nothing": ("WARNS_TOO_LATE", "    service_level: 1m\n", "    service_level: 1m\n    warn_silent_after: 20m\n"),
    "a warning at the end": (
        "WARNS_TOO_LATE",
        "    service_level: 1m\n",
        "    service_level: 1m\n    warn_silent_after: 20m\n    close_silent_after: 20m\n",
    ),
    "awaited and heavier": ("OUT_OF_RANGE", "{channel: email, weight", "{channel: email, weight_while_customer_awaited: 11, weight"),
    "awaited and negative": ("OUT_OF_RANGE", "{channel: email, weight", "{channel: email, weight_while_customer_awaited: -1, weight"),
    "awaited and as heavy": ("POINTLESS_AWAITED_WEIGHT", "{channel: email, weight", "{channel: email, weight_while_customer_awaited: 10, weight"),
    "awaited beside exclusive": ("POINTLESS_AWAITED_WEIGHT", "exclusive: true", "exclusive: true, weight_while_customer_awaited: 0"),
    "awaited without a limit": (
        "AWAITED_WITHOUT_LIMIT",
        "{channel: email, weight: 10, maximum: 5}",
        "{channel: email, weight: 10, weight_while_customer_awaited: 0}",
    ),
    "interrupts itself": ("POINTLESS_INTERRUPT", "interrupts: [email]", "interrupts: [email, voice]"),
    "a channel twice": ("DUPLICATE", "{channel: email, weight: 10, maximum: 5}", "{channel: voice, weight: 10}"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_each_mistake_has_its_code_and_its_line(tmp_path: Path, code: str, old: str, new: str) -> None:
    """The line is that of the replaced words, or of the part that contains them; the message itself does not end with a code."""
    document = checked(tmp_path, edited((old, new)))
    found = [f for f in document.findings if f.code == code]
    assert found, f"only {[f.code for f in document.findings]}"
    assert all(len(f.message) > 20 for f in found)


LINES = {
    "a ring": ("NEVER_WIDENS", "lower: {sales: 3}", "lower: {sales: 6}", "{after: 30s"),
    "an overflow's queue": ("OVERFLOW_LOOP", "threshold: 10, queue: support", "threshold: 10, queue: sales", "too many"),
    "a time, however it is spelt": ("DELAY_BREAKS_TARGET", "delay: 20s", "delay: 61s", "delay:"),
    "a rule's step": ("NEVER_WIDENS", LAST_STEP, "{after: 40s, number: 9}", "requirements: [{attribute: french, number: 8"),
    "a number": ("OUT_OF_RANGE", "max_offers: 2", "max_offers: 11", "max_offers"),
    "a channel": ("IMPOSSIBLE_CHANNEL", "weight: 100, exclusive", "weight: 101, exclusive", "channel: voice"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "old", "new", "words"), LINES.values(), ids=LINES)
def test_the_line_is_that_of_the_mistake(tmp_path: Path, code: str, old: str, new: str, words: str) -> None:
    """An editor can jump to the line."""
    text = edited((old, new))
    (finding,) = [f for f in checked(tmp_path, text).findings if f.code == code]
    assert words in text.splitlines()[finding.line - 1]


SILENT = {
    "an agent who serves everything": ("dynamodb: 1}, queues: [sales]", "dynamodb: 1}"),
    "a ring that drops what a group requires": (DROP_SALES, "drop: [region], queues: [support]"),
    "a ring that lowers what a group requires": ("lower: {sales: 3}", "lower: {sales: 3, french: 5}"),
    "a chain of overflow that ends": ("delay: 20s", "overflow: [{name: wait, when: wait, threshold: 9m, set_priority: 3}]"),
    "cancelling leads to no queue, so to no circle": ("delay: 20s", "overflow: [{name: end, when: wait, threshold: 9m, cancel: true}]"),
    "a label in place of its skill": ("{attribute: french, number: 3}", "{attribute: region, operator: not_equal, text: north}"),
    "a team as a requirement": ("{attribute: sales, number: 5}", "{attribute: sales, number: 5}\n      - {attribute: team, text: red}"),
    "equal priorities need no ageing": ("{name: late, pool: night, ageing_per_minute: 1}", "{name: late, pool: night}"),
    "nor do queues of other pools matter": ("{name: late, pool: night, ageing_per_minute: 1}", "{name: late, pool: night, priority: -9}"),
    "a delay as long as the target": ("delay: 20s", "delay: 60s"),
    "expiry of what an agent lacks": ("{attribute: sales, number: 5}", "{attribute: sales, number: 5, expires_after: 90s}"),
    "a target for other queues": ("name: chat", "name: chat\n    queues: [sales]"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SILENT.values(), ids=SILENT)
def test_a_valid_edit_close_to_a_mistake_gives_no_finding(tmp_path: Path, old: str, new: str) -> None:
    """People switch off a lint that gives false alarms."""
    assert [str(f) for f in checked(tmp_path, edited((old, new))).findings] == []


def test_a_circle_through_several_queues_is_reported_once_with_its_path(tmp_path: Path) -> None:
    """a to b to c to a: three rules, one finding."""

    def queue(name: str, to: str) -> str:
        rule = f"{{name: on, when: length, threshold: 1, queue: {to}}}"
        return f"  - {{name: {name}, pool: default, overflow: [{rule}]}}\n"

    text = "tenant: shop\npools: [{name: default}]\nqueues:\n" + queue("a", "b") + queue("b", "c") + queue("c", "a")
    (finding,) = checked(tmp_path, text).findings
    assert (finding.code, finding.severity) == ("OVERFLOW_LOOP", "error")
    assert "a to b to c to a" in finding.message


@pytest.mark.parametrize(
    ("channel", "setting", "value"),
    [
        ("telegram", "base_url", "http://127.0.0.1:9092"),
        ("telegram", "base_url", "https://169.254.169.254/latest"),
        ("telegram", "base_url", "https://2130706433/"),
        ("webhook", "reply_url", "https://ops.internal/hook"),
        ("webhook", "reply_url", "https://user@hooks.example.com/"),
        ("email", "smtp_url", "smtp://10.0.0.5:25"),
        ("email", "smtp_url", "smtp://localhost"),
        ("email", "smtp_url", "file:///etc/passwd"),
    ],
)
def test_where_a_tenant_must_not_have_us_send(tmp_path: Path, channel: str, setting: str, value: str) -> None:
    """The destination is reported with file and line before it is in force; destinations that the operator allows pass."""
    text = SOUND.replace(
        CHANNELS_LINE,
        f"channels:\n  - {{channel: grpc, account: default}}\n  - channel: {channel}\n    account: x\n    settings:\n      {setting}: '{value}'\n",
    )
    found = [f for f in checked(tmp_path, text).findings if f.code == "DESTINATION"]
    if value.startswith("file:"):
        assert found == []  # a reference: the services know its value when they use it
        return
    (finding,) = found
    assert (finding.severity, finding.line) == (
        "error",
        1 + [setting in line for line in text.splitlines()].index(True),
    )
    path = tmp_path / "allowed.yaml"
    path.write_text(text)
    document = load(path)
    document.rules = destinations(["127.0.0.0/8", "10.0.0.0/8", "ops.internal", "localhost"], development=False)
    lint(document)
    if value.startswith(("http://127", "https://ops", "smtp://")):
        assert [f for f in document.findings if f.code == "DESTINATION"] == []


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "whsec_not base64", "whsec_" + "A" * 28])
def test_a_webhook_secret_that_is_not_a_key(tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lint reports an empty or short key if it can read it; otherwise the services report it."""
    text = SOUND.replace(
        CHANNELS_LINE,
        "channels:\n  - {channel: grpc, account: default}\n  - channel: webhook\n    account: x\n"
        "    secrets: {signing_secret: 'env:CHAPAR_SECRET_SHOP__HOOK_KEY'}\n",
    )
    assert "SECRET_UNUSABLE" not in [f.code for f in checked(tmp_path, text).findings]
    monkeypatch.setenv("CHAPAR_SECRET_SHOP__HOOK_KEY", secret)
    monkeypatch.setenv("CHAPAR_SECRET_SHOP__CRM", secret)
    found = [f for f in checked(tmp_path, text).findings if f.code == "SECRET_UNUSABLE"]
    assert len(found) == 2
    assert all(secret not in f.message.replace("whsec_ and", "") for f in found if secret != "whsec_")
    monkeypatch.setenv("CHAPAR_SECRET_SHOP__HOOK_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setenv("CHAPAR_SECRET_SHOP__CRM", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert "SECRET_UNUSABLE" not in [f.code for f in checked(tmp_path, text).findings]
