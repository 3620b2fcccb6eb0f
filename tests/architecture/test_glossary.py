"""The terms of docs/glossary.md are the terms that the contracts and the documents use."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (?P<term>[^|]+) \| (?P<persian>[^|]+) \| (?P<meaning>[^|]+) \| `(?P<file>[^|`]+)` \|$", re.MULTILINE
)
TERMS = [found.groupdict() for found in ROW.finditer((ROOT / "docs/glossary.md").read_text(encoding="utf-8"))]
PERSIAN = re.compile(r"[\u0600-\u06ff]")
SEPARATORS = re.compile(r"[\W_]+")


def words(text: str) -> str:
    """Return the text in small letters, with spaces for hyphens, underscores, comment signs and line breaks."""
    return f" {SEPARATORS.sub(' ', text).lower()} "


@pytest.mark.parametrize("entry", TERMS, ids=lambda entry: entry["term"])
def test_each_term_is_used_where_the_glossary_says(entry: dict[str, str]) -> None:
    """The file contains the term as whole words, or its plural."""
    term = words(entry["term"].partition(" (")[0]).strip()
    plural = f"{term[:-1]}ies" if term.endswith("y") else f"{term}es" if term.endswith("ch") else f"{term}s"
    text = words((ROOT / entry["file"]).read_text(encoding="utf-8"))
    assert f" {term} " in text or f" {plural} " in text


def test_each_term_has_a_persian_translation_and_one_sentence() -> None:
    """A sentence ends in a full stop, and a term is listed once."""
    assert len(TERMS) > 50
    assert [entry["term"] for entry in TERMS if not PERSIAN.search(entry["persian"])] == []
    assert [entry["term"] for entry in TERMS if not entry["meaning"].endswith(".")] == []
    assert len({entry["term"] for entry in TERMS}) == len(TERMS)


def test_the_readme_leads_to_the_glossary() -> None:
    """The first page links to the glossary."""
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
