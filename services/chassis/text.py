"""The one place that applies Unicode normalisation to text from outside.

Normalisation is quadratic in a run of combining marks, and a run has no natural limit: one letter with 48,000 marks takes
seconds. So a text is cut first, and each base character keeps at most MAX_MARKS marks. No written language needs more
than four; the removed marks are decoration that also covers the lines above and below.
"""

import unicodedata
from typing import Final, Literal

MAX_MARKS: Final = 8
"""Combining marks that a base character keeps."""
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


def normalised(form: Form, text: str, most: int) -> str:
    """Normalise the first `most` characters. The result can be longer: one character decomposes into at most 18."""
    text = text[:most]
    return text if text.isascii() else unicodedata.normalize(form, _without_mark_runs(text))


def few_marks(text: str, most: int) -> str:
    """Return the first `most` characters, with at most MAX_MARKS combining marks after each base character."""
    text = text[:most]
    return text if text.isascii() else _without_mark_runs(text)


def is_mark(char: str) -> bool:
    """Return whether this character joins the one before it: a mark by category, or by combining class."""
    # Check both: some marks have class 0 (they only decorate), and some characters with a class are letters by category.
    return unicodedata.combining(char) != 0 or unicodedata.category(char) in ("Mn", "Me")


def _without_mark_runs(text: str) -> str:
    # Each different character is judged once: a text has few, and a cache could be filled with many.
    marks = set(filter(is_mark, set(text)))
    if not marks:
        return text
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if char in marks else 0
        if run <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)
