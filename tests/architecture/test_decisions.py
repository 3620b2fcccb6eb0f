"""Decisions have one format, numbers without gaps and an index, and every reference to a decision is correct."""

import re
from pathlib import Path

import pytest

from docs.generate.decisions import DECISIONS, decisions, parse, render

ROOT = DECISIONS.parents[1]
FILES = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
READ = (
    "*.md",
    "Makefile",
    "pyproject.toml",
    "*.py",
    "services/**/*.py",
    "tests/**/*.py",
    "protos/**/*.proto",
    "docs/**/*.md",
)
DEPLOYED = ("deploy/**/*.md", "deploy/**/*.py", "deploy/**/*.yaml", "deploy/**/Dockerfile", "services/**/*.html")
PATH = re.compile(r"decisions/(\d{4})((?:-[a-z0-9-]+)?)")
NAMED = re.compile(r"[Dd]ecisions?:? (\d{1,4}(?:(?:, | and |, and | or | to )\d{1,4})*)\b")
BARE = re.compile(r"(?<![\d.,`x/-])(0\d{3})(?![\d.`-]\d|\d|-)")
"""A number by which one decision refers to another one. All numbers have four digits and begin with 0."""
WHOLE = """# 0001: Title

Status: accepted. Date: 2026-11-27. Area: router.

## Context

Why.

## Decision

What.

## Consequences

Costs.
"""


def numbers() -> set[str]:
    return {path.name[:4] for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_decision_has_the_format(path: Path) -> None:
    """A decision has a title with its number, status, date, area, context, decision, consequences, and optionally
    rejected alternatives.
    """
    assert parse(path).number == int(path.name[:4])


def test_numbers_have_no_gaps() -> None:
    """A gap would make readers look for a decision that does not exist."""
    assert [decision.number for decision in decisions()] == list(range(1, len(FILES) + 1))


def test_the_index_lists_every_decision() -> None:
    """`make docs` was run after the last change of a decision."""
    assert (DECISIONS / "README.md").read_text(encoding="utf-8") == render()


def test_every_reference_leads_to_a_decision() -> None:
    """References occur in code, contracts and documents: as a path, as 'decision 0001', and in decisions as a number alone."""
    wrong = {}
    count = 0
    for path in {path for kind in READ + DEPLOYED for path in ROOT.glob(kind)}:
        if ".venv" in path.parts or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        named = [number for group in NAMED.findall(text) for number in re.findall(r"\d+", group)]
        if path.parent == DECISIONS:
            named += BARE.findall(text)
        by_path = {f"{number}{slug}.md" for number, slug in PATH.findall(text) if slug}
        bad = set(named) - numbers() | by_path - {file.name for file in FILES}
        count += len(named) + len(by_path)
        if bad:
            wrong[str(path.relative_to(ROOT))] = sorted(bad)
    assert wrong == {}
    assert count > 100


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("# 0001: Title", "# 0002: Title"),
        ("# 0001: Title", "# 0001 Title"),
        ("accepted", "done"),
        ("Area: router.", ""),
        ("Area: router.", "Area: anything."),
        ("## Context", "## Question"),
        ("## Consequences\n\nCosts.\n", ""),
        ("What.\n", ""),
    ],
)
def test_a_decision_in_another_format_is_refused(tmp_path: Path, written: str, changed: str) -> None:
    """A file that breaks one rule of the format is refused, for each rule."""
    path = tmp_path / "0001-title.md"
    path.write_text(WHOLE)
    parse(path)
    path.write_text(WHOLE.replace(written, changed))
    with pytest.raises(ValueError, match=r"0001-title\.md"):
        parse(path)
