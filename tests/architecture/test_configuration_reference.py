"""docs/configuration.md is complete and current, and `chapar config lint` enforces the rules that it states for keys."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from docs.generate import examples
from docs.generate.configuration import render_markdown
from docs.generate.contract import ROOT, START, Key, Section, read_contract
from docs.generate.settings import groups
from docs.generate.variables import VARIABLES
from services.cli.config.files import Finding, load, parse_duration_ms, schema
from services.cli.config.lint import lint
from services.policy.reading.channels import DECLARATIONS, EDGES

PAGE = ROOT / "docs/configuration.md"
WRITER = YAML(typ="rt")
EXAMPLE: Any = WRITER.load(examples.FILE.read_text(encoding="utf-8"))
SECTIONS = read_contract().sections()
KEYS = [(section, key) for section in SECTIONS for key in section.keys]
NUMBER = r"(-?[\d,.]+(?:ms|s|m|h|d)?)"
RANGE, LEAST, SHARE = (
    re.compile(p) for p in (rf"{NUMBER} to {NUMBER}", rf"at least {NUMBER}", rf"above {NUMBER} and below {NUMBER}")
)


def named(case: tuple[Section, Key]) -> str:
    """Return the name of a test's case."""
    return f"{case[0].name}.{case[1].name}"


def test_the_page_is_current() -> None:
    """`make docs` was run after the last change of a comment, a setting or an example."""
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


def test_every_key_every_value_and_every_setting_has_a_meaning() -> None:
    """Each key and value has a comment in the contract, and each setting a description."""
    silent = [section.name for section in SECTIONS if not section.meaning]
    silent += [named((section, key)) for section, key in KEYS if not key.meaning]
    silent += [
        f"{section.name}.{keys}: {value}"
        for section in SECTIONS
        for keys, values in section.choices.items()
        for value, meaning in values.items()
        if not meaning
    ]
    silent += [setting.name for _, _, settings in groups() for setting in settings if not setting.meaning]
    assert silent == []


def test_the_page_has_every_key_of_the_schema() -> None:
    """The page lists every key that a file may have, at any depth."""
    declared = {name for channel in DECLARATIONS.values() for name in (*channel.secrets, *channel.settings)}
    assert {key.name for _, key in KEYS} | declared == {name.removesuffix("_ms") for name in properties(schema())}


def properties(node: Any) -> Iterator[str]:
    """Yield the names of properties anywhere in a JSON Schema."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for part in node.values():
            yield from properties(part)
    elif isinstance(node, list):
        for part in node:
            yield from properties(part)


def test_the_example_has_every_key_and_lint_finds_nothing() -> None:
    """The page's examples are parts of docs/examples/every-key.yaml, which has every key and no findings."""
    shown = examples.Examples()
    assert {section.name: missing for section in SECTIONS if (missing := shown.missing(section))} == {}
    assert findings(examples.FILE) == []


def test_the_first_example_of_the_page_is_a_whole_configuration(tmp_path: Path) -> None:
    """The smallest file that the page shows has no errors."""
    first = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert first is not None
    file = tmp_path / "first.yaml"
    file.write_text(first[1], encoding="utf-8")
    assert [found for found in findings(file) if found.severity == "error"] == []


@pytest.mark.parametrize("case", [c for c in KEYS if not c[1].default and c[1].name != "threshold"], ids=named)
def test_a_key_without_a_default_is_required(case: tuple[Section, Key], tmp_path: Path) -> None:
    """Without the key, lint reports an error. (`threshold` has two types, and the trigger decides which one is required.)"""
    section, key = case
    assert errors_after(section, key, tmp_path, lambda entry: entry.pop(key.name))


CODES = {
    *("OUT_OF_RANGE", "THRESHOLD", "NO_CAPACITY", "LEAST_RESPONSES"),
    *("SAMPLING_SHARE", "WINDOW_COUNT", "WARNING_SHARE", "PREDICTION_PROBABILITY"),
}
"""The codes that lint reports for a number out of its bounds."""
BOUNDED = [c for c in KEYS if "text" not in c[1].kind and any(p.match(c[1].bounds) for p in (RANGE, LEAST, SHARE))]


@pytest.mark.parametrize("case", BOUNDED, ids=named)
def test_bounds_are_those_of_lint(case: tuple[Section, Key], tmp_path: Path) -> None:
    """The smallest and the largest number are accepted; a smaller one and a larger one are refused."""
    section, key = case

    def errors_with(number: float) -> list[Finding]:
        value = f"{number:.0f}ms" if key.kind == "duration" else int(number) if key.kind == "whole number" else number

        def put(entry: Any) -> None:
            entry[key.name] = [value] if key.kind.startswith("list") else value

        return errors_after(section, key, tmp_path, put)

    for right in inside(key.bounds):
        # Other errors may follow, such as weights that are larger than the total.
        assert [e for e in errors_with(right) if e.code in CODES] == [], f"{named(case)} = {right}"
    for wrong in outside(key.bounds):
        if key.kind != "duration" or wrong >= 0:  # a negative duration cannot be written
            assert errors_with(wrong), f"{named(case)} = {wrong} was accepted"


def inside(bounds: str) -> list[float]:
    """Return the smallest and the largest number within the bounds, durations in ms; empty for "above" and "below"."""
    found = RANGE.match(bounds) or LEAST.match(bounds)
    return [measured(text) for text in found.groups()] if found else []


def measured(text: str) -> float:
    """Parse a number, or a duration to milliseconds."""
    return float(parse_duration_ms(text)) if text[-1].isalpha() else float(text.replace(",", ""))


def outside(bounds: str) -> list[float]:
    """Return numbers that the bounds exclude, durations in milliseconds."""
    if (found := RANGE.match(bounds)) is not None:
        return [measured(found[1]) - 1, measured(found[2]) + 1]
    if (found := SHARE.match(bounds)) is not None:
        return [measured(found[1]) - 0.5, measured(found[2])]
    found = LEAST.match(bounds)
    assert found is not None
    return [measured(found[1]) - 1]


def errors_after(section: Section, key: Key, directory: Path, change: Callable[[Any], object]) -> list[Finding]:
    """Return lint's errors after a change of the first entry that has the key."""
    content = deepcopy(EXAMPLE)
    change(next(entry for entry in entries(content, section.name) if key.name in entry))
    file = directory / "changed.yaml"
    with file.open("w", encoding="utf-8") as target:
        WRITER.dump(content, target)
    return [found for found in findings(file) if found.severity == "error"]


def entries(content: Any, name: str) -> Iterator[Any]:
    """Yield the entries of a section, in the order of the file. A change of an entry changes `content`."""
    if name == START:
        yield content
        return
    kinds = {section.name: {key.name: key.kind for key in section.keys} for section in SECTIONS}

    def walk(node: Any, owner: str) -> Iterator[Any]:
        for key, value in node.items():
            held = re.search(r"\[(\w+)\]", kinds[owner].get(key, ""))
            if held is None:
                continue
            parts = value.values() if "map of" in kinds[owner][key] else value if isinstance(value, list) else [value]
            for part in parts:
                if held[1] == name:
                    yield part
                yield from walk(part, held[1])

    yield from walk(content, START)


def findings(file: Path) -> list[Finding]:
    """Return all findings of lint."""
    document = load(file)
    if not document.findings:
        lint(document)
    return document.findings


def test_every_variable_that_the_code_reads_is_on_the_page() -> None:
    """Each variable that the source names is a setting or is in docs/generate/variables.py."""
    read = re.compile(
        r"""environ(?:\.get\(|\[)f?["']([A-Z_]+)|envvar=["']([A-Z_]+)|^(?:FILE_)?VARIABLE\S* = ["']([A-Z_]+)""",
        re.MULTILINE,
    )
    sources = (ROOT / "services").rglob("*.py")
    names = {
        name for path in sources for found in read.findall(path.read_text(encoding="utf-8")) for name in found if name
    }
    listed = {v.name.partition("<")[0] for v in VARIABLES} | {
        s.name.strip("`") for _, _, group in groups() for s in group
    }
    system = {"PATH", "LANG"}
    assert {"CHAPAR_TENANT", "CHAPAR_ACTOR"} <= names
    assert names - listed - system == set()


def test_ingest_reads_exactly_the_secrets_and_settings_that_the_contract_declares() -> None:
    """Each name that ingest reads from a channel account is declared, and ingest reads each declared name."""
    read = re.compile(
        r"""account\.(?:setting|secret|required)\("(\w+)"|settings\.get\("(\w+)"|(?:require_secret|\.get)\([\w. ,]*account, "(\w+)"\)"""
    )
    sources = [*(ROOT / "services/ingest").rglob("*.py"), *(ROOT / "services/policy/model").glob("*.py")]
    names = {
        name for path in sources for found in read.findall(path.read_text(encoding="utf-8")) for name in found if name
    }
    declared = {name for channel in DECLARATIONS.values() for name in (*channel.secrets, *channel.settings)}
    assert {"bot_token", "base_url", "visitor_token", "origins"} <= names
    assert names == declared


def test_the_page_has_every_secret_and_setting_of_every_channel() -> None:
    """The section ChannelAccount has a table for each channel that an account can have."""
    page = PAGE.read_text(encoding="utf-8")
    for channel in EDGES:
        table = page[page.index(f"#### {channel}") :].split("\n##")[0]
        for key in (*DECLARATIONS[channel].secrets.values(), *DECLARATIONS[channel].settings.values()):
            assert f"| `{key.name}` |" in table
            assert key.meaning in table
            assert key.meaning.endswith(".")
