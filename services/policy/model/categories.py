"""A tenant's categories of free text, and the form in which texts and words are compared.

Texts and words are compared by their text key: NFKC, lower case, both yeh and both kaf as one, alef without its signs,
digits of all scripts as ASCII, no vowel signs, no kashida, half-spaces and apostrophes closed («می‌شود», "doesn't"), a
separate «می» joined to its verb, and every other character that is not a letter or a digit replaced by a space. A word
is found at the beginnings of words; a word that ends in a full stop matches a whole word.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.chassis.text import normalised
from services.policy.model.surveys import MAX_COMMENT_CHARS

_ONE: Final = str.maketrans(
    {
        **dict.fromkeys("يىېۍ", "ی"),
        **dict.fromkeys("كڪ", "ک"),
        **dict.fromkeys("أإآٱ", "ا"),
        **dict.fromkeys("ةۀ", "ه"),
        "ؤ": "و",
        "ئ": "ی",
        **dict.fromkeys("ـ\u200c\u200d'’‘`´", None),
    }
)
_NO_WORD: Final = re.compile(r"[\W_]+")
_SPOKEN_PREFIX: Final = re.compile(r"(?<![^ ])(ن?می) (?=[^ ])")


def text_key(text: str) -> str:
    """Return a text in its form for comparison: words with one space between."""
    folded = normalised("NFKC", text, MAX_COMMENT_CHARS)[: 2 * MAX_COMMENT_CHARS].casefold().translate(_ONE)
    plain = "".join(_plain(sign) for sign in folded if unicodedata.category(sign) != "Mn")
    return _SPOKEN_PREFIX.sub(r"\1", _NO_WORD.sub(" ", plain).strip())


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """A tenant's rule, compiled. Created by `category_rule`."""

    name: str
    any: re.Pattern[str]
    none: re.Pattern[str] | None


def category_rule(name: str, any_: Iterable[str], none: Iterable[str] = ()) -> CategoryRule:
    """Compile a rule from words and phrases of all languages. Raises ValueError if it could never match."""
    found = words_pattern(any_)
    if found is None:
        raise ValueError(f"category {name} must have words")
    return CategoryRule(name, found, words_pattern(none))


def _plain(sign: str) -> str:
    # Digits of every script; NFKC leaves Persian and Arabic digits unchanged.
    return str(unicodedata.digit(sign)) if sign.isdigit() and not sign.isascii() else sign


def words_pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds any of some words in a text key; None if no word has a letter or a digit."""
    patterns = []
    for word in words:
        key = text_key(word)
        if key:
            patterns.append(re.escape(key) + ("(?![^ ])" if word.rstrip().endswith(".") else ""))
    return re.compile(f"(?<![^ ])(?:{'|'.join(dict.fromkeys(patterns))})") if patterns else None
