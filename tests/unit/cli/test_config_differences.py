"""What differs between two configurations, as people would say it."""

from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from services.cli.config.differences import Difference, DifferenceKind, differences, summary, time_text
from services.cli.config.files import load, parse_duration_ms
from services.cli.local.stack import EXAMPLE

SHOP = """\
tenant: shop
time_zone: UTC
pools: [{name: default, session_lease: 10s}]
skills: [{name: persian}]
queues:
  - {name: sales, pool: default, offer_timeout: 20s, titles: {en: Sales}}
  - {name: support, pool: default}
agents:
  - {agent_id: ali, display_name: Ali, pool: default, skills: {persian: 7}}
  - {agent_id: mina, display_name: Mina, pool: default}
rules:
  - {name: buys, when: 'text.contains("buy")', queue: sales}
  - {name: rest, queue: support}
channels:
  - {channel: webchat, account: main}
  - {channel: email, account: main, settings: {address: a@shop.example}}
sla_policies:
  - name: all
    targets:
      - {kind: pick_up, adequate: 1m}
      - {kind: resolution, adequate: 1h, warn_at: [0.5]}
calendars:
  - name: office
    hours: [{days: [sat, sun], from: "09:00", to: "17:00"}]
"""


def configuration(text: str, tmp_path: Path) -> config_pb2.TenantConfiguration:
    file = tmp_path / "shop.yaml"
    file.write_text(text, encoding="utf-8")
    document = load(file)
    assert document.findings == []
    return document.configuration


def found(tmp_path: Path, *changes: tuple[str, str]) -> tuple[Difference, ...]:
    """Return the differences after replacing each text by the other one."""
    after = SHOP
    for old, new in changes:
        assert after.count(old) == 1, old
        after = after.replace(old, new)
    return differences(configuration(SHOP, tmp_path), configuration(after, tmp_path))


def changed(section: str, name: str, field: str, before: str, after: str) -> Difference:
    return Difference(DifferenceKind.CHANGED, section, name, field, before, after)


def test_equal_configurations_do_not_differ(tmp_path: Path) -> None:
    """Whatever version and hash they have: `chapar config apply` sets both."""
    one, other = (configuration(SHOP, tmp_path) for _ in range(2))
    other.version, other.content_hash = 7, "abc"
    assert differences(one, other) == ()
    assert summary(()) == "nothing changed"


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("offer_timeout: 20s", "offer_timeout: 1m30s", changed("queues", "sales", "offer_timeout", "20s", "1m30s")),
        ("offer_timeout: 20s, ", "", changed("queues", "sales", "offer_timeout", "20s", "")),
        ("time_zone: UTC", "time_zone: Asia/Tehran", changed("tenant", "", "time_zone", "UTC", "Asia/Tehran")),
        ("en: Sales", "fa: فروش", changed("queues", "sales", "titles[en]", "Sales", "")),
        ("persian: 7", "persian: 9", changed("agents", "ali", "skills[persian]", "7", "9")),
        ("a@shop.example", "b@shop.example", changed("channels", "email/main", "settings[address]", "a@shop.example", "b@shop.example")),
        ("adequate: 1m", "adequate: 2m", changed("sla_policies", "all", "targets[pick_up].adequate", "1m", "2m")),
        ("warn_at: [0.5]", "warn_at: [0.5, 0.75]", changed("sla_policies", "all", "targets[resolution].warn_at", "[0.5]", "[0.5, 0.75]")),
        ("kind: resolution, adequate: 1h, warn_at: [0.5]", "kind: next_response, adequate: 1h",
         changed("sla_policies", "all", "targets[resolution]", "{kind: resolution, adequate: 1h, warn_at: [0.5]}", "")),
        ("to: \"17:00\"", "to: \"18:00\"",
         changed("calendars", "office", "hours", "[{days: [sat, sun], from: 09:00, to: 17:00}]", "[{days: [sat, sun], from: 09:00, to: 18:00}]")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_changed_setting_is_named_by_its_path(tmp_path: Path, old: str, new: str, difference: Difference) -> None:
    """In its section and part, with both values as a file would write them; the default is empty."""
    assert difference in found(tmp_path, (old, new))


def test_parts_are_added_and_removed_by_name(tmp_path: Path) -> None:
    """A part in another place of its list is neither: agents have no order."""
    replaced = "agent_id: mina, display_name: Mina", "agent_id: omid, display_name: Omid"
    assert [(each.kind, each.section, each.name) for each in found(tmp_path, replaced)] == [
        (DifferenceKind.REMOVED, "agents", "mina"),
        (DifferenceKind.ADDED, "agents", "omid"),
    ]


def test_an_order_that_decides_is_a_difference(tmp_path: Path) -> None:
    """The first rule that holds decides, so two rules that change places change the routing."""
    swapped = (
        ("""  - {name: buys, when: 'text.contains("buy")', queue: sales}\n""", ""),
        ("queue: support}\n", """queue: support}\n  - {name: buys, when: 'text.contains("buy")', queue: sales}\n"""),
    )
    (difference,) = found(tmp_path, *swapped)
    assert difference == Difference(DifferenceKind.REORDERED, "rules", "", before="buys, rest", after="rest, buys")


def test_the_summary_counts_parts(tmp_path: Path) -> None:
    """Two changed settings of one queue are one changed queue."""
    changes = (
        ("offer_timeout: 20s", "offer_timeout: 5s"),
        ("en: Sales", "en: Buying"),
        ("  - {agent_id: mina, display_name: Mina, pool: default}\n", ""),
        ("time_zone: UTC", "time_zone: Asia/Tehran"),
    )
    assert summary(found(tmp_path, *changes)) == "tenant: 1 changed; queues: 1 changed; agents: 1 removed"


@pytest.mark.parametrize("ms", [0, 1, 999, 60_000, 90_061_001, 86_400_000])
def test_a_time_is_written_as_files_are_read(ms: int) -> None:
    """The shown value can be copied into a file."""
    assert parse_duration_ms(time_text(ms)) == ms


def test_every_part_of_the_example_is_found_by_its_name() -> None:
    """Compared with nothing, each part of each list is added, and nothing is shown as a whole list."""
    example = load(EXAMPLE).configuration
    all_of_it = differences(config_pb2.TenantConfiguration(tenant=example.tenant), example)
    for section in ("queues", "agents", "rules", "channels", "sla_policies", "surveys"):
        added = [each.name for each in all_of_it if each.section == section and each.kind is DifferenceKind.ADDED]
        assert len(added) == len(getattr(example, section)) > 0, section
