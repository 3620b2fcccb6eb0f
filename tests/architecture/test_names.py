"""Names in the code and the contracts use the glossary's words: none contains a word that docs/glossary.md replaces."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AVOIDED = frozenset({"giver", "taker", "promise", "foresight", "insight", "burial", "aftermath"})
"""Words of the table "Words to avoid" that no name needs in another meaning."""
ONE_MEANING = {"Desk": "services/cli/desk.py", "Kind": "", "Lines": "", "Decision": ""}
"""Class names that had several meanings, and the only file that defines one; "" for none: name what it is the kind of."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
CODE = re.compile(r"""["']([A-Z][A-Z0-9_]+)["']""")
PROTO_NAME = re.compile(
    r"^\s*(?:message|enum|rpc|oneof|(?:repeated |optional )?[\w.<>, ]+) (\w+)(?= ?[={(])", re.MULTILINE
)
SOURCES = sorted(path for path in (ROOT / "services").rglob("*.py"))
PROTOS = sorted((ROOT / "protos").rglob("*.proto"))


def avoided(names: Iterator[str]) -> set[str]:
    """Return the names with an avoided word in them, in the singular or the plural; past forms count too."""
    return {
        name
        for name in names
        for word in WORD.findall(name)
        if {word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("d")} & AVOIDED
    }


def names_of(text: str) -> Iterator[str]:
    """Yield the names of a Python file, and the codes in its strings, e.g. "UNKNOWN_QUEUE"."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.string
        elif token.type == tokenize.STRING and (code := CODE.fullmatch(token.string)):
            yield code[1]


def test_no_name_in_the_code_has_a_word_to_avoid() -> None:
    """Classes, functions, variables and reason codes use the term of the glossary."""
    found = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if (names := avoided(names_of(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def test_no_name_in_the_contracts_has_a_word_to_avoid() -> None:
    """So do messages, fields, calls and values of enumerations."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in PROTOS}
    assert sum(len(PROTO_NAME.findall(text)) for text in texts.values()) > 1000, "the pattern finds the names"
    assert {name: found for name, text in texts.items() if (found := avoided(iter(PROTO_NAME.findall(text))))} == {}


@pytest.mark.parametrize("word", sorted(AVOIDED))
def test_the_glossary_says_what_to_write_instead(word: str) -> None:
    """Each word is in its table "Words to avoid"."""
    _, _, table = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").partition("## Words to avoid")
    assert re.search(rf"^\|[^|]*\b{word}\b[^|]*\|", table, re.MULTILINE)


def test_one_class_name_has_one_meaning() -> None:
    """A bare `Kind` or `Decision` says nothing where it is imported, and two of them are taken for one another."""
    defined = {
        (found, str(path.relative_to(ROOT)))
        for path in SOURCES
        for found in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if found in ONE_MEANING
    }
    assert defined == {(name, file) for name, file in ONE_MEANING.items() if file}


@pytest.mark.parametrize(
    "text", ["promises = 1", "class Giver: ...", 'fail("NO_PROMISE")', "is_promised", "MostInsights"]
)
def test_an_avoided_word_is_found_in_every_spelling(text: str) -> None:
    """In the plural, in a longer name, in a code."""
    assert avoided(names_of(text)) != set()
