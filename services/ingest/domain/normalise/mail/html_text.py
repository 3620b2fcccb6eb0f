"""Collects the text of an HTML page in lines, each with the depth of the quotes around it."""

import re
from typing import Final

_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_BLANK: Final = re.compile(r"[ \xa0]+")
_MOST_MARKS: Final = 5
_LONGEST_TARGET: Final = 500
_SCHEME: Final = re.compile(r"(?:https?://|mailto:|tel:)(?:www\.)?", re.IGNORECASE)


class Page:
    """The lines so far. Text between `hide` and `forget` is dropped; without `forget` it is revealed at the end."""

    def __init__(self) -> None:
        self.images = 0
        self.gap = True
        self.hides = False
        self._lines: list[tuple[int, str]] = []
        self._pieces: list[str] = []
        self._depth = 0
        self._link_begins = -1
        self._hidden: list[str] | None = None

    @property
    def at_start(self) -> bool:
        """Return whether nothing was said in this line."""
        return not any(self._pieces)

    def say(self, text: str, *, keep_breaks: bool) -> None:
        """Add text to the line. White space is one space, as on a page, except within `pre`."""
        if not text:
            return
        if self._hidden is not None:
            self._hidden.append(text)
            return
        if not keep_breaks:
            shown = _SPACE.sub(" ", text)
            if shown != " " or not self.at_start:
                self._pieces.append(shown)
            return
        first, *others = text.replace("\r\n", "\n").split("\n")
        self._pieces.append(first)
        for each in others:
            self._flush(keep=True)
            self._pieces.append(each)

    def line_break(self) -> None:
        """End the line, also a blank one."""
        if self._hidden is None:
            self._flush(keep=True)

    def block(self, *, gap: bool = False) -> None:
        """Begin a line. `gap`: with a blank line before it."""
        self._flush(keep=False)
        if gap and self._lines and self._lines[-1][1]:
            self._lines.append((self._depth, ""))

    def cell(self) -> None:
        """End a table's cell."""
        self._pieces.append("\t")

    def quote(self, change: int) -> None:
        """Enter (1) or leave (-1) a quote."""
        self.block()
        after = max(0, self._depth + change)
        if self._lines and not self._lines[-1][1]:
            self._lines[-1] = (min(self._lines[-1][0], after), "")
        elif self._lines:
            self._lines.append((min(self._depth, after), ""))
        self._depth = after

    def begin_link(self) -> None:
        """Remember where the link's text begins."""
        self._link_begins = len(self._pieces)

    def end_link(self, target: str) -> None:
        """Add the target, unless the link's text is the target."""
        text = "".join(self._pieces[self._link_begins :]) if self._link_begins >= 0 else ""
        if len(target) <= _LONGEST_TARGET and _plain(text) != _plain(target):
            self._pieces.append(f" <{target}>" if text.strip() else f"<{target}>")
        self._link_begins = -1

    def hide(self) -> None:
        """Begin to hide."""
        self.hides = True
        self._hidden = []

    def forget(self) -> None:
        """Drop what was hidden."""
        self._hidden = None

    def reveal(self, *, all_of_it: bool) -> None:
        """Show what an element without an end would hide."""
        hidden, self._hidden = self._hidden, None
        if hidden and all_of_it:
            self.say(" ".join(hidden), keep_breaks=False)

    def text(self) -> str:
        """Return the text. A page of images only says so."""
        self._flush(keep=False)
        out: list[str] = []
        for depth, line in self._lines:
            if line or (out and out[-1].strip("> ")):
                out.append(f"{'>' * min(depth, _MOST_MARKS)} {line}".rstrip() if depth else line)
        text = "\n".join(out).strip("\n")
        if text.strip() or not self.images:
            return text
        return "[image]" if self.images == 1 else f"[{self.images} images]"

    def _flush(self, *, keep: bool) -> None:
        whole = "".join(self._pieces)
        keep = keep or "\xa0" in whole  # a paragraph with a fixed space is how programs write a blank line
        line = _BLANK.sub(" ", whole)
        line = "\t".join(cell.strip() for cell in line.split("\t") if cell.strip()) if "\t" in line else line.strip()
        self._pieces = []
        self._link_begins = min(self._link_begins, 0)
        if line or keep:
            self._lines.append((self._depth, line))


def _plain(text: str) -> str:
    return _SCHEME.sub("", text.strip(), count=1).rstrip("/").lower()
