"""Recognises a customer's message as the answer to an open survey invitation.

Strict on purpose: "5" is an answer, "5 of my parcels are missing" is a new contact. The whole message must be a score:
a number in ASCII, Persian or Arabic digits, a word for a number, keycap emoji, a row of stars, or "n/max". Around it
only words such as "stars", "points", "نمره" are allowed. Scales: CSAT 1-5, NPS 0-10, CES 1-7. Stars mean points, on
scales up to five only. A thumb says satisfied or not satisfied: on CSAT, which measures exactly that, 👍 is 5 and 👎 is
1. On the other scales the score would be a guess, so a thumb is not an answer there. Hearts, faces and free text are
never answers.
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
# «نه» means both nine and "no"; alone it is too often a refusal to count as a score.
_AMBIGUOUS: Final = frozenset({"نه"})
_STARS: Final = frozenset("⭐★🌟")
_THUMBS: Final[Mapping[str, int]] = MappingProxyType({"👍": 5, "👎": 1})
_MOST_THUMBS: Final = 5
_SKIN: Final = re.compile("[\U0001f3fb-\U0001f3ff]")
_DROPPED: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\u20e3\u0640\u064b-\u0652]")
_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+")
_ALLOWED: Final = re.compile(r"[\w\s/.!,:؛،٫\-+()]*")
_TEN: Final = "\U0001f51f"

_MOST_LINES: Final = 200
_MOST_LINE_CHARS: Final = 300
_MOST_LOOKED_AT: Final = _MOST_LINES * _MOST_LINE_CHARS
# The text before quoted mail, or at the end of the written text: attributions in two languages (mail programs break
# long ones), rules, signatures.
_ATTRIBUTION: Final = re.compile(r"\s*(On\b.*\bwrote:|در (تاریخ )?.*نوشت(ه است)?:)\s*$", re.DOTALL)
_ENDS: Final = re.compile(r"\s*(-{2,}|_{5,}|From:|از:|Sent from |Get Outlook |در تاریخ|ارسال شده از |فرستاده شده از )")


def beside_quote(text: str) -> str:
    """Return the text written above the quoted mail, or below it if there is no text above.

    Only used to look for a score: the whole text is kept.
    """
    lines = [line[:_MOST_LINE_CHARS] for line in text[:_MOST_LOOKED_AT].splitlines()[:_MOST_LINES]]
    above = _until_quote(lines)
    if above:
        return above
    quoted = [index for index, line in enumerate(lines) if line.lstrip().startswith(">")]
    return _until_quote(lines[quoted[-1] + 1 :]) if quoted else ""


def _until_quote(lines: list[str]) -> str:
    kept: list[str] = []
    for index, line in enumerate(lines):
        broken = "\n".join(lines[index : index + 3])
        begins = any(_ATTRIBUTION.match(broken[:end]) for end in _line_ends(broken))
        if begins or line.lstrip().startswith(">") or _ENDS.match(line):
            break
        kept.append(line)
    return "\n".join(kept).strip()


def _line_ends(text: str) -> list[int]:
    return [index for index, char in enumerate(text) if char == "\n"] + [len(text)]


def parse_score(text: str, kind: str) -> int | None:
    """Return the score that the whole message is, or None. `kind` is "csat", "nps" or "ces"; any other kind has no scale."""
    scale = SCALES.get(kind)
    if scale is None or not text or len(text) > _MAX_CHARS:
        return None
    low, high = scale
    plain = _DROPPED.sub("", text).strip()
    if plain and all(c in _STARS for c in plain.replace(" ", "")):
        stars = len(plain.replace(" ", ""))
        return stars if high <= 5 and low <= stars <= high else None
    thumbs = _SKIN.sub("", plain).replace(" ", "")
    if thumbs and set(thumbs) <= _THUMBS.keys():
        # All thumbs are equal, and there are few of them: a longer row may mean something else.
        plain_thumb = len(set(thumbs)) == 1 and len(thumbs) <= _MOST_THUMBS
        return _THUMBS[thumbs[0]] if kind == "csat" and plain_thumb else None
    plain = plain.replace(_TEN, "10").replace("/ ", "/").casefold().replace("ي", "ی").replace("ك", "ک")
    plain = "".join(_ascii_digit(c) for c in plain)
    if "-" in plain or not _ALLOWED.fullmatch(plain):  # a negative number is not a score on any scale
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
        # «۴ از ۵», "4/5", "4 out of 5": the second number must be the scale's maximum.
        return numbers[0] if numbers[1] == high and low <= numbers[0] <= high else None
    if len(numbers) != 1:
        return None
    return numbers[0] if low <= numbers[0] <= high else None


def _is_fraction(plain: str) -> bool:
    return "/" in plain or bool(re.search(r"\b(of|از)\b", plain))


def _ascii_digit(char: str) -> str:
    value = unicodedata.digit(char, None)
    return str(value) if value is not None else char
