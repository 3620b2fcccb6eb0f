"""Which language a text is in: BCP 47, "und" when nothing speaks for one.

Compact Language Detector 2 is right on most short texts but guesses below six letters; there the script decides, and
after it the conversation's (or the tenant's) own language. It refuses control characters, so it gets a cleaned copy.
"""

import re
from typing import Any, Final

import pycld2

UNKNOWN: Final = "und"
_MIN_LETTERS = 6
_SAMPLE = 2000  # characters: more does not make it surer
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]+")
_LETTERS = re.compile(r"[^\W\d_]")
_PERSIAN_ONLY = re.compile("[پچژگکی]")
_ARABIC_ONLY = re.compile("[ةىيكإأ]")
_ARABIC_SCRIPT = re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
_LATIN = re.compile("[A-Za-z]")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_CODE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ALIASES = {"iw": "he", "in": "id", "zh-Hant": "zh-Hant", "un": UNKNOWN}


def language_code(given: str) -> str:
    """A caller's language as BCP 47, or "" when it is not one."""
    return given if len(given) <= 35 and _CODE.fullmatch(given) else ""


def detect(text: str, fallback: str = "") -> str:
    """The text's language; `fallback` (the conversation's language, or "") where the text is too short to tell."""
    sample = _NOT_TEXT.sub(" ", " ".join(word for word in text[:_SAMPLE].split() if not _is_address(word)))
    letters = len(_LETTERS.findall(sample))
    if letters < _MIN_LETTERS:
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
        # What the cleaning above has missed; the script still tells something.
        return False, UNKNOWN
    reliable, _bytes, details = found
    code = str(details[0][1])
    return bool(reliable), _ALIASES.get(code, code)


def _by_script(sample: str, fallback: str) -> str:
    """Letters of one language decide; a script shared by several goes to the fallback when that is written in it."""
    base = fallback.split("-")[0]
    if _ARABIC_SCRIPT.search(sample):
        if _PERSIAN_ONLY.search(sample):
            return "fa"
        if _ARABIC_ONLY.search(sample):
            # Arabic keyboards are common in Iran: ye and kaf alone don't make a Persian customer an Arab.
            return fallback if base in ("fa", "ar", "ur", "ckb") else "ar"
        return fallback if base in ("fa", "ar", "ur", "ps", "ckb") else "fa"
    if _CYRILLIC.search(sample):
        return fallback if base in ("ru", "uk", "bg", "sr", "tg", "kk") else "ru"
    if _LATIN.search(sample):
        return fallback if base not in ("", UNKNOWN, "fa", "ar", "ur", "ps", "ckb", "ru", "uk") else "en"
    return fallback or UNKNOWN
