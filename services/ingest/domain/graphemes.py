"""Where a text may be cut: between grapheme clusters, as readers see characters (UAX 29, extended clusters).

A family of emoji is up to eleven code points, a flag is two, and a letter may have several marks. The rules are those of
UAX 29, with the properties approximated by the general category and by ranges. Conjuncts of Indic scripts are cut.
"""

import unicodedata
from typing import Final

_ZWJ: Final = "\u200d"
_JOINED_BY_ZWJ: Final = ("So", "Sm")
_MARKS: Final = ("Mn", "Me", "Mc")
_EXTENDING: Final = frozenset("\u200c\u200d\uff9e\uff9f")
_PREPENDED: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
_FLAG_LETTERS: Final = "".join(map(chr, range(0x1F1E6, 0x1F200)))
LONGEST: Final = 64
"""The maximum number of code points of a cluster that is kept whole. Stacked decoration has no natural limit."""


def cut_before(text: str, start: int, end: int) -> int:
    """Return the last place at or before `end` that is between clusters, for a part that begins at `start`; `end` itself
    if the last cluster is longer than LONGEST."""
    for at in range(end, max(start, end - LONGEST), -1):
        if is_boundary(text, at, start):
            return at
    return end


def is_boundary(text: str, at: int, start: int = 0) -> bool:
    """Return whether a cluster ends before the character at this place. `start`: a place before it that is between
    clusters."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if _is_control(before) or _is_control(after):
        return True
    if _extends(after) or before in _PREPENDED:
        return False
    if before == _ZWJ and unicodedata.category(after) in _JOINED_BY_ZWJ:
        return False
    if before in _FLAG_LETTERS and after in _FLAG_LETTERS:
        return _flag_letters_before(text, at, start) % 2 == 0
    return not _same_syllable(_hangul(before), _hangul(after))


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Zl", "Zp")


def _extends(char: str) -> bool:
    """Return whether the character belongs to the one before it: marks, joiners, skin tones, tags of flags."""
    if char in _EXTENDING or "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f":
        return True
    return unicodedata.category(char) in _MARKS


def _flag_letters_before(text: str, at: int, start: int) -> int:
    part = text[start:at]
    return len(part) - len(part.rstrip(_FLAG_LETTERS))


def _hangul(char: str) -> str:
    """Return the part of a Korean syllable: leading (L), vowel (V), trailing (T), LV, LVT; "" for other characters."""
    if char < "\u1100" or char > "\ud7fb":
        return ""
    if char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if char <= "\u11ff" or char >= "\ud7cb":
        return "T"
    if "\uac00" <= char <= "\ud7a3":
        return "LVT" if (ord(char) - 0xAC00) % 28 else "LV"
    return ""


def _same_syllable(before: str, after: str) -> bool:
    if before == "L":
        return after in ("L", "V", "LV", "LVT")
    if before in ("V", "LV"):
        return after in ("V", "T")
    return before in ("T", "LVT") and after == "T"
