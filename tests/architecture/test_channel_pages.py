"""docs/channels has one page for each channel, and each page names what its channel has and shows an account that lint accepts."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from docs.generate import examples
from services.cli.config.files import load
from services.cli.config.lint import lint
from services.ingest.domain.channel_rules import channel_rules
from services.ingest.domain.sent_files import file_rules
from services.policy.model.groups import EACH
from services.policy.reading.channels import DECLARATIONS, EDGES
from tests.architecture.guide import ROOT, blocks

FOLDER = ROOT / "docs/channels"
OVERVIEW = FOLDER / "README.md"
SECTIONS = ("Set up", "Limits", "Outcomes", "Proof of origin", "Privacy")
"""Sections that every page has, in this order. The others depend on the channel."""
WRITER = YAML(typ="rt")


def _text(channel: str) -> str:
    return (FOLDER / f"{channel}.md").read_text(encoding="utf-8")


def test_each_channel_with_an_edge_has_a_page_and_no_other_has_one() -> None:
    """A channel that the contract adds needs a page, and a column in the overview that links it."""
    assert {path.stem for path in FOLDER.glob("*.md")} == {*EDGES, OVERVIEW.stem}
    head = next(line for line in OVERVIEW.read_text(encoding="utf-8").splitlines() if line.startswith("| |"))
    assert {*re.findall(r"\]\((\w+)\.md\)", head)} == EDGES


def test_the_overview_names_the_channels_that_have_no_edge() -> None:
    """Readers who look for SMS or calls learn that they are not there."""
    text = OVERVIEW.read_text(encoding="utf-8")
    assert [name for name in DECLARATIONS.keys() - EDGES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("channel", sorted(EDGES))
def test_a_page_has_the_sections_that_readers_look_for(channel: str) -> None:
    """The same sections in the same order on each page."""
    found = re.findall(r"^## (.+)$", _text(channel), re.MULTILINE)
    assert [title for title in found if title in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("channel", sorted(EDGES))
def test_the_table_of_a_page_has_exactly_the_keys_of_the_contract(channel: str) -> None:
    """A new secret or setting is explained on the channel's page, and a removed one disappears."""
    declared = DECLARATIONS[channel]
    _, _, section = _text(channel).partition("### Secrets and settings\n")
    table = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert table == [*declared.secrets, *declared.settings]


@pytest.mark.parametrize("channel", sorted(EDGES))
def test_lint_finds_nothing_in_the_account_of_a_page(channel: str, tmp_path: Path) -> None:
    """The example replaces the accounts of docs/examples/every-key.yaml, which has no findings."""
    shown = [block for block in blocks(FOLDER / f"{channel}.md") if block.language == "yaml"]
    assert len(shown) == 1, "a page has one account"
    accounts = WRITER.load(shown[0].text)
    assert [account["channel"] for account in accounts] == [channel]
    configuration = WRITER.load(examples.FILE.read_text(encoding="utf-8"))
    configuration["channels"] = accounts
    file = tmp_path / "shop.yaml"
    WRITER.dump(configuration, file)
    document = load(file)
    if not document.findings:
        lint(document)
    assert [str(finding) for finding in document.findings] == []


def _row(title: str) -> dict[str, str]:
    """Return a row of the overview: its cells by channel."""
    rows = [line.strip("| ").split(" | ") for line in OVERVIEW.read_text(encoding="utf-8").splitlines()]
    (cells,) = [cells for cells in rows if cells[0] == title]
    head = next(cells for cells in rows if cells[0].startswith("[e-mail]"))
    channels = re.findall(r"\]\((\w+)\.md\)", " ".join(head))
    return dict(zip(channels, cells[1:], strict=True))


def _with_a_yes(title: str) -> set[str]:
    return {channel for channel, cell in _row(title).items() if cell != "no"}


def test_the_overview_agrees_with_the_rules_of_the_channels() -> None:
    """Rows that the code has as data: files out, delivery reports, groups, templates, recipients."""
    rules = {channel: channel_rules(channel) for channel in EDGES}
    assert _with_a_yes("files out") == {channel for channel in EDGES if file_rules(channel).carries}
    assert _with_a_yes("delivery reports") == {channel for channel, found in rules.items() if found and found.reports}
    assert _with_a_yes("templates") == {channel for channel, found in rules.items() if found and found.reply_window_ms}
    assert _with_a_yes("groups") == {
        channel for channel in EDGES if EACH in getattr(DECLARATIONS[channel].settings.get("groups"), "values", ())
    }
    assert _with_a_yes("recipients (to, cc)") == {
        channel for channel in EDGES if "recipients" in DECLARATIONS[channel].settings
    }
