"""A line that a person types while other lines are printed: what arrives is shown above it, and never breaks into it.

The terminal does not echo. The prompt and the typed text are drawn here, removed before anything is printed, and drawn again afterwards.
Without a terminal, lines are read as they come and nothing is drawn.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import termios
import tty
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import IO, Any, Final, TextIO, cast

from rich.cells import cell_len
from rich.console import Console

PROMPT: Final = "> "
_BACKSPACE: Final = "\x7f\x08"
_CLEAR: Final = "\x15"
_WORD: Final = "\x17"
_END: Final = "\x04"
_ESCAPE: Final = "\x1b"
_CHUNK: Final = 4096


class TypedLine:
    """The keys of a terminal as lines. Backspace, Ctrl-U and Ctrl-W edit as usual; keys such as arrows do nothing."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._sequence = ""
        self.text = ""
        """The line so far."""
        self.ended = False
        """Whether Ctrl-D was typed on an empty line."""

    def feed(self, raw: bytes) -> list[str]:
        """Take bytes of the keyboard; return the lines that they complete. Never raises."""
        return [line for key in self._decode(raw) if (line := self._key(key)) is not None]

    def _key(self, key: str) -> str | None:
        if self._in_sequence(key):
            return None
        if key in "\r\n":
            line, self.text = self.text, ""
            return line
        if key in _BACKSPACE:
            self.text = self.text[:-1]
        elif key == _CLEAR:
            self.text = ""
        elif key == _WORD:
            kept = self.text.rstrip()
            self.text = kept[: kept.rfind(" ") + 1]
        elif key == _END:
            self.ended = self.ended or not self.text
        elif key == "\t" or not _is_control(key):
            self.text += " " if key == "\t" else key
        return None

    def _in_sequence(self, key: str) -> bool:
        """Return whether the key is part of an escape sequence, such as that of an arrow."""
        if key == _ESCAPE:
            self._sequence = key
        elif not self._sequence:
            return False
        elif self._sequence == _ESCAPE:
            self._sequence = self._sequence + key if key in "[O" else ""
        elif "@" <= key <= "~":
            self._sequence = ""
        return True


def _is_control(key: str) -> bool:
    return key < " " or "\x7f" <= key < "\xa0"


class PrintedAbove:
    """The part of a text file that a console uses: it shows what is written above the line that is being typed.

    `width`: columns of the terminal now.
    """

    def __init__(self, out: TextIO, typed: TypedLine, width: Callable[[], int]) -> None:
        self._out = out
        self._typed = typed
        self._width = width
        self._rows = -1
        """Rows between the first and the last of the drawn line; -1 when none is drawn."""

    @property
    def encoding(self) -> str:
        """The encoding of the terminal."""
        return self._out.encoding

    def isatty(self) -> bool:
        """Return whether the output is a terminal."""
        return self._out.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._out.fileno()

    def flush(self) -> None:
        """Show what was written."""
        self._out.flush()

    def write(self, text: str) -> int:
        """Write whole lines above the typed one."""
        drawn = self._rows >= 0
        self.erase()
        self._out.write(text)
        if drawn:
            self.draw()
        return len(text)

    def erase(self) -> None:
        """Remove the typed line from the screen."""
        if self._rows >= 0:
            self._out.write("\r" + "\x1b[A" * self._rows + "\x1b[J")
            self._rows = -1

    def draw(self) -> None:
        """Show the prompt and the typed line."""
        self.erase()
        shown = PROMPT + self._typed.text
        self._out.write(shown)
        self._out.flush()
        self._rows = max(0, cell_len(shown) - 1) // max(1, self._width())


@contextlib.asynccontextmanager
async def typed_lines(console: Console, descriptor: int) -> AsyncIterator[AsyncIterator[str]]:
    """Provide the lines that are typed, for the time of the block; they end with the input, and reading them blocks nothing.

    Where input and output are a terminal, the console prints above the line that is being typed.
    """
    if not (os.isatty(descriptor) and console.is_terminal):
        async with contextlib.aclosing(_piped(descriptor)) as piped:
            yield piped
        return
    out, typed = console.file, TypedLine()
    above = PrintedAbove(cast("TextIO", out), typed, lambda: console.width)
    with _keys(descriptor):
        console.file = cast("IO[str]", above)
        above.draw()
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        # Keys are shown at once, also while the reader of the lines is busy with an earlier one.
        loop.add_reader(descriptor, _readable, above, typed, descriptor, lines)
        try:
            async with contextlib.aclosing(_until_end(lines)) as found:
                yield found
        finally:
            loop.remove_reader(descriptor)
            above.erase()
            above.flush()
            console.file = out


def _readable(above: PrintedAbove, typed: TypedLine, descriptor: int, lines: asyncio.Queue[str | None]) -> None:
    """Take what the keyboard sent. None ends the lines."""
    try:
        raw = os.read(descriptor, _CHUNK)
    except OSError:
        raw = b""  # the terminal was closed
    for line in typed.feed(raw):
        above.write(f"{PROMPT}{line}\n")
        lines.put_nowait(line)
    if typed.ended or not raw:
        asyncio.get_running_loop().remove_reader(descriptor)
        lines.put_nowait(None)
    else:
        above.draw()


async def _until_end(lines: asyncio.Queue[str | None]) -> AsyncGenerator[str, None]:
    while (line := await lines.get()) is not None:
        yield line


async def _piped(descriptor: int) -> AsyncGenerator[str, None]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(os.dup(descriptor), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while line := await reader.readline():
            yield line.decode(errors="replace").rstrip("\n")
    finally:
        transport.close()


@contextlib.contextmanager
def _keys(descriptor: int) -> Iterator[None]:
    """Let the terminal send each key at once and echo none, for the time of the block. Ctrl-C still interrupts."""
    before: list[Any] = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
