"""Detects the language of a text: BCP 47, or "und" when there is no evidence for a language.

Compact Language Detector 2 is right for most short texts but guesses below six letters. There the script decides, and
after it the language of the conversation (or the tenant). The detector refuses control characters, so it gets a cleaned
copy.
"""

import re
from typing import Any, Final

import pycld2

UNKNOWN: Final = "und"
_MIN_LETTERS = 6
_SAMPLE = 2000  # characters: a longer sample does not improve the result
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]+")
_ENOUGH_LETTERS = re.compile(rf"(?:[\W\d_]*[^\W\d_]){{{_MIN_LETTERS}}}")
_PERSIAN_ONLY = re.compile("[پچژگکی]")
_ARABIC_ONLY = re.compile("[ةىيكإأ]")
_ARABIC_SCRIPT = re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
_LATIN = re.compile("[A-Za-z]")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_CODE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ALIASES = {"iw": "he", "in": "id", "zh-Hant": "zh-Hant", "un": UNKNOWN}


def language_code(given: str) -> str:
    """Return a caller's language as BCP 47, or "" when it is not a language."""
    return given if len(given) <= 35 and _CODE.fullmatch(given) else ""


def detect(text: str, fallback: str = "") -> str:
    """Return the text's language. `fallback` (the conversation's language, or "") is used when the text is too short."""
    words = text[:_SAMPLE].split()
    if "@" in text or "http" in text:
        words = [word for word in words if not _is_address(word)]
    sample = _NOT_TEXT.sub(" ", " ".join(words))
    if not _ENOUGH_LETTERS.match(sample):
        return _by_script(sample, fallback)
    reliable, code = _cld2(sample)
    if code != UNKNOWN and (reliable or not fallback):
        return code
    return _by_script(sample, fallback)


def _is_address(word: str) -> bool:
    return "@" in word or word.startswith(("http://", "https://"))


def _cld2(sample: str) -> tuple[bool, str]:
    try:
        found: Any = pycld2.detect(sample, bestEffort=True)
    except pycld2.error:
        # The text has a character that the cleaning above has missed. The script still gives information.
        return False, UNKNOWN
    reliable, _bytes, details = found
    code = str(details[0][1])
    return bool(reliable), _ALIASES.get(code, code)


def _by_script(sample: str, fallback: str) -> str:
    """Decide by letters that only one language uses. For a script that several languages share, use the fallback if it
    is written in that script."""
    base = fallback.split("-")[0]
    if _ARABIC_SCRIPT.search(sample):
        if _PERSIAN_ONLY.search(sample):
            return "fa"
        if _ARABIC_ONLY.search(sample):
            # Arabic keyboards are common in Iran: ye and kaf alone do not show that a customer writes Arabic.
            return fallback if base in ("fa", "ar", "ur", "ckb") else "ar"
        return fallback if base in ("fa", "ar", "ur", "ps", "ckb") else "fa"
    if _CYRILLIC.search(sample):
        return fallback if base in ("ru", "uk", "bg", "sr", "tg", "kk") else "ru"
    if _LATIN.search(sample):
        return fallback if base not in ("", UNKNOWN, "fa", "ar", "ur", "ps", "ckb", "ru", "uk") else "en"
    return fallback or UNKNOWN
