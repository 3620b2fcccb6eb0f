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
_WORD = re.compile("[a-z]+")
_WORDS_READ = 20
_PERSIAN_IN_LATIN = frozenset(
    (
        "salam", "salaam", "slm", "dorood", "chetori", "chetorid", "khoobi", "khubi", "khobi", "khoob", "khub", "khobam",
        "mersi", "mamnoon", "mamnun", "sepas", "lotfan", "bebakhshid", "baleh", "kheyr", "nemidunam", "nemidoonam",
        "mikham", "mikhastam", "mishe", "nemishe", "chera", "koja", "kojast", "chande", "gheymat", "gheymatesh",
        "sefaresh", "sefaresham", "sefareshe", "poolam", "daram", "darid", "darin", "nadaram", "hastam", "hastid",
        "nist", "nistam", "shoma", "bood", "shode", "nashode", "nareside", "resid", "residam", "khodahafez", "hafez",
        "aghaye", "khanom", "vaght", "bekheyr", "sobh", "komak", "konid", "moshkel", "hanooz", "hanuz",
    )
)  # fmt: skip
"""Common Persian words in Latin letters, as customers type them, which are not English words."""
_ALSO_PERSIAN = frozenset(
    {"man", "ma", "va", "ke", "az", "ba", "be", "ro", "in", "bale", "pool", "hast", "shod", "shab"}
)
"""Persian words in Latin letters that other languages have too."""
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
    if _in_latin_letters(sample, fallback):
        return "fa"
    if not _ENOUGH_LETTERS.match(sample):
        return _by_script(sample, fallback)
    reliable, code = _cld2(sample)
    if code != UNKNOWN and (reliable or not fallback):
        return code
    return _by_script(sample, fallback)


def _in_latin_letters(sample: str, fallback: str) -> bool:
    """Return whether this is Persian in Latin letters, as "salam, sefaresham kojast?". One of the first words must be
    Persian only, and half of them Persian. Other languages greet with "salam" too, so the conversation's must be
    Persian, English or unknown."""
    if not sample.isascii() or fallback.split("-")[0] not in ("", UNKNOWN, "fa", "en"):
        return False
    words = _WORD.findall(sample.lower())[:_WORDS_READ]
    certain = sum(word in _PERSIAN_IN_LATIN for word in words)
    possible = sum(word in _ALSO_PERSIAN for word in words)
    return certain > 0 and 2 * (certain + possible) >= len(words)


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
