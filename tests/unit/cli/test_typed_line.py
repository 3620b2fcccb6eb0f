"""What an agent types stays whole while messages arrive. The terminal is a real pseudo-terminal; its screen is what a person would see."""

import asyncio
import io
import os
import re
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from services.cli.typed_line import PrintedAbove, TypedLine, typed_lines

pytestmark = pytest.mark.timeout(20)
WIDTH = 20


def shown(output: str, width: int = WIDTH) -> list[str]:
    """Return the rows of a terminal after this output: text, \\r, \\n, cursor up, and erase to the end of the screen."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for part in re.findall(r"\x1b\[A|\x1b\[J|\x1b\[[0-9;]*m|.|\n", output, re.DOTALL):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
        elif part == "\x1b[A":
            row -= 1
        elif part == "\x1b[J":
            rows[row][column:] = []
            del rows[row + 1 :]
        elif not part.startswith("\x1b"):
            if column == width:
                row, column = row + 1, 0
            while len(rows) <= row:
                rows.append([])
            rows[row][column : column + 1] = [part]
            column += 1
        while len(rows) <= row:
            rows.append([])
    return ["".join(cells) for cells in rows]


@pytest.mark.parametrize(
    ("keys", "lines", "left"),
    [
        ("r1 Hello\n", ["r1 Hello"], ""),
        ("سلام\r", ["سلام"], ""),
        ("helo\x7flo\n", ["hello"], ""),
        ("one two\x17three\n", ["one three"], ""),
        ("wrong\x15right\n", ["right"], ""),
        ("a\x1b[Db\x1bOAc\x1bxd\n", ["abcd"], ""),
        ("a\tb\x00\x07\n", ["a b"], ""),
        ("a\nb\nc", ["a", "b"], "c"),
    ],
)
def test_keys_become_lines(keys: str, lines: list[str], left: str) -> None:
    """Editing keys edit; keys that the desk does not know do nothing. Bytes may arrive one at a time."""
    typed = TypedLine()
    assert [line for byte in keys.encode() for line in typed.feed(bytes([byte]))] == lines
    assert typed.text == left
    assert not typed.ended


def test_ctrl_d_ends_an_empty_line_only() -> None:
    """As in a shell."""
    typed = TypedLine()
    typed.feed(b"a\x04")
    assert not typed.ended
    typed.feed(b"\x7f\x04")
    assert typed.ended


@given(
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=70),
    st.lists(st.integers(0, 70)),
)
def test_messages_that_arrive_at_any_key_leave_the_typed_text_whole(text: str, arrivals: list[int]) -> None:
    """At each moment the last rows are the prompt with all keys so far, and every message is above in a row of its own."""
    out = io.StringIO()
    typed = TypedLine()
    above = PrintedAbove(out, typed, lambda: WIDTH)
    above.draw()
    arrived = 0
    for at, key in enumerate(text):
        for _ in range(arrivals.count(at)):
            above.write("[1] customer: hi\n")
            arrived += 1
        typed.feed(key.encode())
        above.draw()
        rows = shown(out.getvalue())
        assert rows[:arrived] == ["[1] customer: hi"] * arrived
        assert "".join(rows[arrived:]) == f"> {text[: at + 1]}"


@contextmanager
def terminal() -> Iterator[tuple[int, int, Console]]:
    """Provide a pseudo-terminal: the side of the person, the descriptor of the program, and the program's console."""
    person, program = os.openpty()
    try:
        with open(program, "w", encoding="utf-8", closefd=False) as file:
            yield person, program, Console(file=file, width=WIDTH, force_terminal=True)
    finally:
        os.close(person)
        os.close(program)


class Person:
    """The person at the terminal: sees what is shown, and types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = b""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._look)

    def _look(self) -> None:
        self._seen += os.read(self._descriptor, 4096)
        self._changed.set()

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    @property
    def screen(self) -> list[str]:
        """The rows of the screen."""
        return shown(self._seen.decode().replace("\r\n", "\n"))

    async def sees(self, *rows: str) -> None:
        """Wait until the screen has these rows."""
        while self.screen != list(rows):
            self._changed.clear()
            await self._changed.wait()


async def test_a_message_that_arrives_while_an_agent_types_is_shown_above() -> None:
    """On a real terminal: the line that the program gets is the one that was typed, and the terminal is as before at the end."""
    with terminal() as (mine, program, console):
        before = termios.tcgetattr(program)
        person = Person(mine)
        async with typed_lines(console, program) as lines:
            await person.sees("> ")
            person.types("r1 Hel")
            await person.sees("> r1 Hel")
            console.print("[1] customer: a", markup=False)
            await person.sees("[1] customer: a", "> r1 Hel")
            person.types("lo\r")
            assert await anext(lines) == "r1 Hello"
            await person.sees("[1] customer: a", "> r1 Hello", "> ")
            person.types("more")
            await person.sees("[1] customer: a", "> r1 Hello", "> more")
            person.types("\x15\x04")
            assert [line async for line in lines] == []
        assert termios.tcgetattr(program) == before
        console.print("signed out")
        await person.sees("[1] customer: a", "> r1 Hello", "signed out", "")
        asyncio.get_running_loop().remove_reader(mine)


async def test_without_a_terminal_lines_are_read_as_they_come() -> None:
    """A program that pipes commands into the desk gets no prompts."""
    source, sink = os.pipe()
    out = io.StringIO()
    os.write(sink, "r1 سلام\nc\n".encode())
    os.close(sink)
    async with typed_lines(Console(file=out), source) as lines:
        assert [line async for line in lines] == ["r1 سلام", "c"]
    os.close(source)
    assert out.getvalue() == ""
