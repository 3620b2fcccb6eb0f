"""The lines of a text, each with a key for patterns: without marks that are not seen, with one form of each letter."""

import re
from dataclasses import dataclass
from typing import Final

MAX_KEY: Final = 400
"""The number of characters of a line that patterns see. A longer line is a paragraph, not an introduction."""
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_ONE_FORM: Final = str.maketrans(
    {
        **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u0640", None),
        **dict.fromkeys("\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0654", None),
        **dict.fromkeys("يىئ", "ی"),
        **dict.fromkeys("\xa0\u202f\t", " "),
        **{digit: str(value) for digits in ("۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩") for value, digit in enumerate(digits)},
        "ك": "ک", "ة": "ه", "ۀ": "ه", "أ": "ا", "آ": "ا", "إ": "ا", "’": "'", "：": ":",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line. `raw`: as it is, with its break. `key`: for patterns, at most 400 characters, without white space around
    it. `blank`: it shows nothing."""

    raw: str
    key: str
    blank: bool


def lines_of(text: str, most: int) -> list[Line]:
    """Return the first `most` lines; the last of them has the rest of the text."""
    lines: list[Line] = []
    for found in _LINE.finditer(text):
        if len(lines) == most - 1:
            lines.append(_line(text[found.start() :]))
            break
        lines.append(_line(found.group()))
    return lines


def _line(raw: str) -> Line:
    key = raw[:MAX_KEY].translate(_ONE_FORM).strip()
    return Line(raw, key, not key and not raw[MAX_KEY:].strip())
