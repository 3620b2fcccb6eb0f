"""Which of several code pages is plausible for some bytes, from the letters alone: enough for one short word.

Text in a single-byte code page of another script, read as Western European, is words of nothing but accented letters:
«سلام» is "ÓáÇã". No Western language writes such words. In its own code page the same bytes are words of one script.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_SAMPLE: Final = 4 << 10
_RUN: Final = re.compile(rb"[\x80-\xff]+")
_FOREIGN: Final = re.compile(rb"[\x80\x81\x8d-\x90\x98\x9a\x9d-\x9f\xc0-\xff]{3,}")
_ARABIC: Final = (
    "\u0621-\u063a\u0640-\u0652\u067e\u0679\u0686\u0688\u0691\u0698\u06a9\u06af\u06ba\u06be\u06c1\u06cc\u06d2\u06d5"
)
_SCRIPTS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "cp1256": re.compile(f"[{_ARABIC}\u200c\u200d\u060c\u061b\u061f«»‘’“”…–—\xa0]+"),
        "cp1251": re.compile("[\u0400-\u045f\u0490\u0491«»‘’“”…–—№\xa0]+"),
        "cp1253": re.compile("[\u0384-\u03ce«»‘’“”…–—\xa0]+"),
        "cp1255": re.compile("[\u05b0-\u05f4«»‘’“”…–—\xa0]+"),
    }
)
_OF_LANGUAGE: Final[Mapping[str, str]] = MappingProxyType(
    {"fa": "cp1256", "ar": "cp1256", "ur": "cp1256", "ckb": "cp1256", "ps": "cp1256", "ru": "cp1251", "uk": "cp1251",
     "bg": "cp1251", "sr": "cp1251", "el": "cp1253", "he": "cp1255"}
)  # fmt: skip
_ONLY_EXPECTED: Final = frozenset({"cp1255"})
"""Pages that are used for their own language only: their letters have the bytes of small Cyrillic letters."""
_CAPITALS: Final = re.compile("[\u0400-\u042f\u0391-\u03a9]{3,}")
_CAPITAL_WITHIN: Final = re.compile("[\u0430-\u045f\u03ac-\u03ce][\u0400-\u042f\u0391-\u03a9]")


def looks_foreign(raw: bytes) -> bool:
    """Return whether the bytes hold words of high bytes only, which Western European text does not have."""
    return _FOREIGN.search(raw[:_SAMPLE]) is not None


def code_page(raw: bytes, language: str) -> str:
    """Return the single-byte code page in which each run of high bytes is of one script; an empty string when there is
    none. The code page of `language` (BCP 47, may be empty) comes first, then Persian's and Arabic's."""
    runs = _RUN.findall(raw[:_SAMPLE])
    if not runs:
        return ""
    prior = _OF_LANGUAGE.get(language.partition("-")[0].lower(), "")
    for page in dict.fromkeys((prior, *_SCRIPTS)):
        if page and (page == prior or page not in _ONLY_EXPECTED) and _fits(runs, page, strict=page != prior):
            return page
    return ""


def _fits(runs: list[bytes], page: str, *, strict: bool) -> bool:
    """Return whether nine of ten runs are words of the page's script. `strict`: a word is longer than one letter, and
    small letters are more usual than capitals."""
    texts = [run.decode(page, "replace") for run in runs]
    good = sum(_SCRIPTS[page].fullmatch(text) is not None for text in texts)
    if good * 10 < len(texts) * 9:
        return False
    if not strict:
        return True
    capitals = sum(_CAPITALS.search(text) is not None for text in texts)
    within = sum(_CAPITAL_WITHIN.search(text) is not None for text in texts)
    return max(map(len, texts)) >= 3 and capitals * 2 <= len(texts) and within * 5 <= len(texts)
