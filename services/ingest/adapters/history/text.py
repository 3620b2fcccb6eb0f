"""Folds texts, so that a search finds words in spite of different spellings.

Compatibility forms (NFKC) become plain letters; letter case is removed; the Arabic keyboard's yeh and kaf become the
Persian ones; hamza carriers and teh marbuta become their plain letters; Persian and Arabic digits become Latin ones;
harakat and other combining marks, tatweel, ZWNJ and every other invisible character are removed (a word is found with
and without its half-space); white space becomes one space.

The first MAX_FOLDED characters of a text are searchable. The cost of folding is linear in them, whatever they are.
"""

import unicodedata
from typing import Final

from services.chassis.text import is_mark, normalised

MAX_WORDS: Final = 10
MAX_FOLDED: Final = 16_000
"""The maximum number of characters of a text that are folded: about three thousand words of one message."""
MAX_QUERY: Final = 1_000
_PASSES: Final = 4

_LETTERS: Final = {
    "ي": "ی",
    "ى": "ی",
    "ئ": "ی",
    "ك": "ک",
    "ة": "ه",
    "ۀ": "ه",
    "أ": "ا",
    "إ": "ا",
    "ٱ": "ا",
    "آ": "ا",
    "ؤ": "و",
}
_TABLE: Final = str.maketrans(_LETTERS)
_TATWEEL: Final = "\u0640"


def fold(text: str) -> str:
    """Return the folded text, at most MAX_FOLDED characters. Folding twice changes nothing."""
    once = _fold(text)
    # a compatibility form of a capital letter becomes a plain letter only after its case is removed
    for _ in range(_PASSES):
        again = _fold(once)
        if again == once:
            break
        once = again
    return once


def _fold(text: str) -> str:
    # Cut again after each step that can lengthen the text: one ligature has 18 letters.
    composed = normalised("NFKC", text[:MAX_FOLDED].translate(_TABLE), MAX_FOLDED)[: 2 * MAX_FOLDED]
    taken_apart = normalised("NFKD", composed.casefold(), 2 * MAX_FOLDED)[: 2 * MAX_FOLDED]
    # Each different letter is judged once: a text has few, and a cache could be filled with many.
    letters = taken_apart.translate({ord(letter): _plain(letter) for letter in set(taken_apart)})
    return " ".join(normalised("NFKC", letters, MAX_FOLDED).translate(_TABLE).split())[:MAX_FOLDED].rstrip()


def _plain(letter: str) -> str:
    category = unicodedata.category(letter)
    if letter == _TATWEEL or category == "Cf" or is_mark(letter):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(letter))
    return " " if category in ("Cc", "Zs", "Zl", "Zp") else letter


def words(query: str) -> tuple[str, ...]:
    """Return the folded words of a query's first MAX_QUERY characters, each once, at most MAX_WORDS."""
    folded = fold(query[:MAX_QUERY])
    return tuple(dict.fromkeys(folded.split(" ")))[:MAX_WORDS] if folded else ()


def pattern(word: str) -> str:
    r"""Return a LIKE pattern, with `\` as its escape, for texts that contain this folded word."""
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
