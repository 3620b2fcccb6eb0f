"""After `config apply`: what the change does not do by itself, and how to do it."""

from pathlib import Path

from chapar.config.v1 import config_pb2
from services.cli.config.files import load
from services.cli.config.hints import hints
from services.cli.config.lint import lint

TENANT = """\
tenant: shop
pools: [{name: default}]
queues: [{name: sales, pool: default}]
agents: [{agent_id: sara, pool: default, queues: [sales]}]
rules: [{name: rest, queue: sales}]
channels: [{channel: grpc, account: default}]
sla_policies:
"""
GOLD = "  - {name: gold, tiers: [gold], targets: [{kind: pick_up, desired: 1m, adequate: 2m}]}\n"
WITHDRAWN = "  - {name: gold, tiers: [gold], targets: [], applies_to_open: true}\n"
REST = "  - {name: rest, targets: [{kind: resolution, adequate: 2h}]}\n"


def of(tmp_path: Path, policies: str) -> config_pb2.TenantConfiguration:
    path = tmp_path / "shop.yaml"
    path.write_text(TENANT + policies, encoding="utf-8")
    document = load(path)
    lint(document)
    assert [str(each) for each in document.findings if each.severity == "error"] == []
    return document.configuration


def test_a_removed_policy_goes_on_for_open_interactions(tmp_path: Path) -> None:
    (hint,) = hints(of(tmp_path, GOLD + REST), of(tmp_path, REST))
    assert "`gold`" in hint
    assert "applies_to_open: true" in hint


def test_the_way_that_the_hint_names_has_no_hint_itself(tmp_path: Path) -> None:
    """First the policy loses its targets, then it is removed. Lint accepts both."""
    first, second, third = of(tmp_path, GOLD + REST), of(tmp_path, WITHDRAWN + REST), of(tmp_path, REST)
    assert hints(first, second) == hints(second, third) == ()
