"""Prose is plain: documents, docstrings and comments keep to ordinary words and sentence order, so that every reader understands them.

Each habit below makes a sentence harder for a reader whose first language is not English. A few uses are fine; a habit is not. The limits are
rates per 10,000 words of all prose in the repository.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|uv\.lock$|schema\.json$")
CODE_SPAN = re.compile(r"`[^`]*`")
HASH_COMMENT = re.compile(r"(?:^|\s)#+ ?(.*)$")
COMMENTED_BY_HASH = frozenset({".yaml", ".yml", ".toml", ".ini", ".sh", ".properties", ".tpl"})
ENOUGH_TO_COUNT = 2
"""A habit needs more uses than this to be one."""


@dataclass(frozen=True, slots=True)
class Habit:
    """Words to avoid, the most uses in 10,000 words of prose, and what to write instead."""

    name: str
    pattern: re.Pattern[str]
    most: float
    instead: str


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


HABITS = (
    Habit("a gender for agents and customers", _words("he", "him", "his", "himself", "she", "her", "hers"), 0.5, "they, or name them"),
    Habit("an unnamed actor", _words("somebody", "nobody", "anybody", "whoever", "whosoever"), 1.0, "no agent, the caller"),
    Habit("telling", _words("tell", "tells", "told"), 2.0, "report, return, notify, show, record"),
    Habit("standing for being", re.compile(r"\b(?:stands?|stood|standing)\b(?! (?:in )?for\b)", re.IGNORECASE), 1.0, "is, exists, remains"),
    Habit("old adverbs", _words("anew", "henceforth", "thereof", "thereby", "wherein", "whereof", "hitherto", "lest"), 0.3, "again, in which"),
    Habit("old verbs", _words("mend", "mends", "mended", "whence", "naught", "ere", "gladly", "in vain"), 0.3, "fix"),
    Habit("is no", re.compile(r"(?<!there )\b(?:is|are|was|were) no\b(?! longer)", re.IGNORECASE), 1.0, "is not a"),
    Habit("so many", _words("so many", "so much"), 0.5, "N, a number of"),
    Habit(
        "a sentence that begins with its relative clause",
        re.compile(r"(?:^|[.;:] )What (?:is|was|are|has|comes|becomes|came|waits|stands|happens|could)\b"),
        1.0,
        "name the thing: records that ..., work that ...",
    ),
)  # fmt: skip


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    """Docstrings, strings that document a name, and comments."""
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):
                    yield from enumerate(value.splitlines(), statement.lineno)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#! ")


def _of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Everything outside of code blocks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def prose_of(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of everything that is written for people."""
    if path.suffix == ".py":
        yield from _of_python(text)
    elif path.suffix in {".md", ".txt"}:
        yield from _of_markdown(text)
    elif path.suffix == ".proto":
        yield from ((n, line.split("//", 1)[1]) for n, line in enumerate(text.splitlines(), 1) if "//" in line)
    elif path.suffix in COMMENTED_BY_HASH or path.name in {"Makefile", "Dockerfile"}:
        for number, line in enumerate(text.splitlines(), 1):
            if found := HASH_COMMENT.search(line):
                yield number, found[1]


@pytest.fixture(scope="module")
def prose() -> list[tuple[str, str]]:
    """Every line of prose in the repository with its place, without code spans."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in listed.splitlines():
        path = ROOT / name
        if GENERATED.search(name) or not path.is_file() or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [(f"{name}:{number}", CODE_SPAN.sub(" ", line)) for number, line in prose_of(path, text)]
    return found


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.name)
def test_prose_is_free_of_habits_that_make_it_hard_to_read(prose: list[tuple[str, str]], habit: Habit) -> None:
    """Each habit occurs less often than its limit; the message lists the places."""
    words = sum(len(re.findall(r"[A-Za-z']+", line)) for _, line in prose)
    places = [f"{place}: {line.strip()[:100]}" for place, line in prose for _ in habit.pattern.finditer(line)]
    assert words > 100_000, "the walk finds the prose"
    assert len(places) <= max(ENOUGH_TO_COUNT, habit.most * words / 10_000), "\n".join(
        [f"write instead: {habit.instead}", *places]
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", '"""Head."""\nX = 1\n"""About X."""\nY = 2  # why\nZ = "not prose"\n', ["Head.", "About X.", "why"]),
        ("a.md", "One\n```\ncode\n```\nTwo\n", ["One", "Two"]),
        ("a.proto", "// Meaning.\nint32 x = 1;  // Of x.\n", [" Meaning.", " Of x."]),
        ("a.yaml", "# Why.\na: 1 # b\n", ["Why.", "b"]),
    ],
)
def test_the_walk_reads_what_people_read(name: str, text: str, expected: list[str]) -> None:
    """Docstrings, comments and documents are prose; code and other strings are not."""
    assert [line for _, line in prose_of(Path(name), text)] == expected


def test_each_habit_is_recognised() -> None:
    """The patterns find what they are for, and leave ordinary uses alone."""
    found = {
        habit.name
        for habit in HABITS
        for line in (
            "his queue", "nobody is free", "it is told of", "the rule stands", "wherein", "mend it", "X is no queue", "so many rows",
            "What waits is offered.",
        )
        if habit.pattern.search(line)
    }  # fmt: skip
    assert found == {habit.name for habit in HABITS}
    assert not any(
        habit.pattern.search("There is no queue; it stands for one; what is offered, this") for habit in HABITS
    )
