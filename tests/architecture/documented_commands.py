"""The `chapar` commands that a page shows: in code spans, in code blocks, and inside other commands such as `kubectl exec`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import typer
from typer.core import TyperGroup

from services.cli.__main__ import app

DEFAULTS: Final = {"simulate": "run"}
"""Groups that run this command when the next word is not the name of one."""
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_FENCE: Final = re.compile(r"^ *```")
_BEGINS: Final = re.compile(r"(?:^|\s|/)chapar(?=\s|$)")
_SUBSTITUTION: Final = re.compile(r"\$\(([^()]*)\)")
_ENDS: Final = ("|", "&&", "||", ";", ">", ">>", "2>")


@dataclass(frozen=True, slots=True)
class Documented:
    """One command of a page: its words after `chapar`, and the line."""

    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def written(page: str) -> Iterator[Documented]:
    """Yield the commands of a page in Markdown. A mention of `chapar` alone is not a command."""
    prose: list[str] = []
    block = ""
    fenced = False
    for number, line in enumerate(page.splitlines(), 1):
        indented = line.startswith("    ") and not re.match(r"\s*([-*|]|\d+\.) ", line)
        if _FENCE.match(line):
            fenced = not fenced
            prose.append("")
        elif fenced or (indented and (block or not prose or not prose[-1].strip())):
            prose.append("")
            block += line
            if block.endswith("\\"):
                block = block[:-1]
                continue
            yield from _commands(block, number)
            block = ""
        else:
            prose.append(line)
    # A span may go on in the next line.
    text = "\n".join(prose)
    for span in _SPAN.finditer(text):
        if re.match(r"chapar\s", span[1]):
            yield from _commands(span[1].replace("\n", " "), text.count("\n", 0, span.start()) + 1)


def _commands(text: str, line: int) -> Iterator[Documented]:
    for inner in _SUBSTITUTION.findall(text):
        yield from _commands(inner, line)
    text = _SUBSTITUTION.sub("…", text)
    for begin in _BEGINS.finditer(text):
        before = text[: begin.start()].strip().lstrip("$ ")
        # In a line of a shell, chapar is the command itself or follows `--`; elsewhere it is a name, such as a release's.
        if before and not before.endswith(("--", "&&", "|", ";", ".venv/bin")):
            continue
        words = shlex.split(text[begin.end() :], comments=True)
        ends = [place for place, word in enumerate(words) if word in _ENDS]
        words = words[: ends[0]] if ends else words
        if words:
            yield Documented(line, tuple(words))


@cache
def _root() -> Any:
    return typer.main.get_command(app)


def path_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the group and the command. Raises ValueError for a command or an option that does not exist.

    A group alone, such as `sla`, is a mention of all its commands.
    """
    command = _root()
    path: list[str] = []
    rest = list(words)
    while isinstance(command, TyperGroup):
        if rest and rest[0] in command.commands:
            name = rest.pop(0)
        elif path and path[-1] in DEFAULTS and rest:
            name = DEFAULTS[path[-1]]
        elif not rest or rest[0].startswith("-"):
            break
        else:
            raise ValueError(f"`chapar {shlex.join(words)}`: there is no command {rest[0]}")
        path.append(name)
        command = command.commands[name]
    options = {
        "--help",
        *(each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)),
    }
    for word in rest:
        if word.startswith("--") and word.partition("=")[0] not in options:
            raise ValueError(f"`chapar {shlex.join(words)}`: {' '.join(path)} has no option {word}")
    return tuple(path)
