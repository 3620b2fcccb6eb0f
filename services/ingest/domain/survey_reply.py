"""Recognises a customer's message as the answer to an open survey invitation.

Strict on purpose: "5" is an answer, "5 of my parcels are missing" is a new contact. So the whole message must be a score: a number in ASCII, Persian
or Arabic digits, a word for one, keycap emoji, a row of stars, or "n/max"; around it only words like "stars", "points", "نمره".
Scales: CSAT 1-5, NPS 0-10, CES 1-7. Stars mean points on scales up to five only.
"""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SCALES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({"csat": (1, 5), "nps": (0, 10), "ces": (1, 7)})
_MAX_CHARS: Final = 40
_WORDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        word: value
        for value, words in enumerate(
            (
                ("zero", "صفر"),
                ("one", "یک"),
                ("two", "دو"),
                ("three", "سه"),
                ("four", "چهار"),
                ("five", "پنج"),
                ("six", "شش", "شیش"),
                ("seven", "هفت"),
                ("eight", "هشت"),
                ("nine", "نه"),
                ("ten", "ده"),
            )
        )
        for word in words
    }
)
_FILLERS: Final = frozenset(
    {"star", "stars", "point", "points", "score", "rating", "out", "of", "از", "ستاره", "نمره", "امتیاز", "عدد", "تا"}
)
# «نه» is nine and "no"; alone it is too often a refusal to count as a score.
_AMBIGUOUS: Final = frozenset({"نه"})
_STARS: Final = frozenset("⭐★🌟")
_DROPPED: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\u20e3\u0640\u064b-\u0652]")
_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+")
_ALLOWED: Final = re.compile(r"[\w\s/.!,:؛،٫\-+()]*")
_TEN: Final = "\U0001f51f"


_QUOTE: Final = re.compile(r"\s*(>|-{2,}|_{5,}|On\b.*\bwrote:|From:|Sent from|در تاریخ|در .* نوشت)")


def above_quote(text: str) -> str:
    """What was written above the quoted mail that is answered; only to look for a score, the whole text is kept."""
    lines: list[str] = []
    for line in text.splitlines()[:50]:
        if _QUOTE.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def parse_score(text: str, kind: str) -> int | None:
    """The score that this whole message is, or None. `kind` is "csat", "nps" or "ces"; anything else has no scale."""
    scale = SCALES.get(kind)
    if scale is None or not text or len(text) > _MAX_CHARS:
        return None
    low, high = scale
    plain = _DROPPED.sub("", text).strip()
    if plain and all(c in _STARS for c in plain.replace(" ", "")):
        stars = len(plain.replace(" ", ""))
        return stars if high <= 5 and low <= stars <= high else None
    plain = plain.replace(_TEN, "10").replace("/ ", "/").casefold().replace("ي", "ی").replace("ك", "ک")
    plain = "".join(_ascii_digit(c) for c in plain)
    if "-" in plain or not _ALLOWED.fullmatch(plain):  # a negative number is no score of any scale
        return None
    numbers: list[int] = []
    for token in _TOKEN.findall(plain):
        if token.isdigit():
            numbers.append(int(token))
        elif token in _WORDS and not (token in _AMBIGUOUS and len(plain.split()) == 1):
            numbers.append(_WORDS[token])
        elif token not in _FILLERS:
            return None
    if len(numbers) == 2 and _is_fraction(plain):
        # «۴ از ۵», "4/5", "4 out of 5": the second names the scale and must be this one.
        return numbers[0] if numbers[1] == high and low <= numbers[0] <= high else None
    if len(numbers) != 1:
        return None
    return numbers[0] if low <= numbers[0] <= high else None


def _is_fraction(plain: str) -> bool:
    return "/" in plain or bool(re.search(r"\b(of|از)\b", plain))


def _ascii_digit(char: str) -> str:
    value = unicodedata.digit(char, None)
    return str(value) if value is not None else char
