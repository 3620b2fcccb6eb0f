"""How texts are folded so that what people type finds what people wrote.

Compatibility forms (NFKC) become plain letters, letter case goes; the Arabic keyboard's yeh and kaf become the Persian ones, hamza
carriers and teh marbuta their plain letters; Persian and Arabic digits become Latin ones; harakat and other combining marks,
tatweel, ZWNJ and every other invisible character go (a word is found with and without its half-space); white space becomes one space.
"""

import unicodedata
from typing import Final

MAX_WORDS: Final = 10

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
    """The folded text. Folding twice changes nothing."""
    once = _fold(text)
    again = _fold(once)
    while again != once:  # a compatibility form of a capital becomes a letter only after its case went
        once, again = again, _fold(again)
    return once


def _fold(text: str) -> str:
    letters = []
    for letter in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text.translate(_TABLE)).casefold()):
        category = unicodedata.category(letter)
        if letter == _TATWEEL or category in ("Mn", "Me", "Cf"):
            continue
        if category == "Nd":
            letters.append(str(unicodedata.digit(letter)))
        elif category in ("Cc", "Zs", "Zl", "Zp"):
            letters.append(" ")
        else:
            letters.append(letter)
    return " ".join(unicodedata.normalize("NFKC", "".join(letters)).translate(_TABLE).split())


def words(query: str) -> tuple[str, ...]:
    """The folded words of a query, each once, at most MAX_WORDS."""
    return tuple(dict.fromkeys(fold(query).split(" ")))[:MAX_WORDS] if fold(query) else ()


def pattern(word: str) -> str:
    r"""A LIKE pattern, with `\` as its escape, for texts that hold this folded word."""
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
