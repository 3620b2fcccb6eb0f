"""Categories of free text by rule: the same text and the same rules always give the same categories.

Texts and words are compared by their text key: NFKC, lower case, both yeh and both kaf as one, alef without its signs,
digits of all scripts as ASCII, no vowel signs, no kashida, half-spaces and apostrophes closed («می‌شود», "doesn't"), a
separate «می» joined to its verb, and every other character that is not a letter or a digit replaced by a space. A word
is found at the beginnings of words; a word that ends in a full stop matches a whole word.

A tenant's rule matches if one of its `any` is found and none of its `none`. If a tenant has no rules, the built-in
words apply, with negation: a word that is negated in its clause ("not helpful", "no problem", «راضی نبودم», «مشکلی
نداشتم») does not count, and negated praise is a complaint.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from services.chassis.text import normalised
from services.feedback.domain import lexicon
from services.feedback.domain.comments import MAX_COMMENT_CHARS

COMPLAINT: Final = "complaint"
REQUEST: Final = "request"
PRAISE: Final = "praise"
HOW_TO: Final = "how-to"
MOST_CATEGORIES: Final = 8
_REACH: Final = 3

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
_CLAUSE: Final = re.compile(r"[.!?؟;؛\n،,:]+")
_NO_WORD: Final = re.compile(r"[\W_]+")
_SPOKEN_PREFIX: Final = re.compile(r"(?<![^ ])(ن?می) (?=[^ ])")


def text_key(text: str) -> str:
    """Return a text in its form for comparison: words with one space between."""
    folded = normalised("NFKC", text, MAX_COMMENT_CHARS)[: 2 * MAX_COMMENT_CHARS].casefold().translate(_ONE)
    plain = "".join(_plain(sign) for sign in folded if unicodedata.category(sign) != "Mn")
    return _SPOKEN_PREFIX.sub(r"\1", _NO_WORD.sub(" ", plain).strip())


@dataclass(frozen=True, slots=True)
class Rule:
    """A tenant's rule, compiled. Created by `rule`."""

    name: str
    any: re.Pattern[str]
    none: re.Pattern[str] | None


def rule(name: str, any_: Iterable[str], none: Iterable[str] = ()) -> Rule:
    """Compile a rule from words and phrases of all languages. Raises ValueError if it could never match."""
    found = _compiled(any_)
    if found is None:
        raise ValueError(f"category {name} must have words")
    return Rule(name, found, _compiled(none))


def classify(texts: Sequence[str], rules: Sequence[Rule] = ()) -> tuple[str, ...]:
    """Return the categories of a response's texts, in the rules' order; the built-in categories if there are no
    rules."""
    if not rules:
        return _built_in(texts)
    keys = [text_key(text) for text in texts if text]
    return tuple(dict.fromkeys(each.name for each in rules if _holds(each, keys)))[:MOST_CATEGORIES]


def _holds(each: Rule, keys: list[str]) -> bool:
    found = any(each.any.search(key) for key in keys)
    return found and not (each.none is not None and any(each.none.search(key) for key in keys))


def _built_in(texts: Sequence[str]) -> tuple[str, ...]:
    said: set[str] = set()
    for text in texts:
        for clause in _clauses(text):
            said |= _said(clause)
    return tuple(name for name in (COMPLAINT, REQUEST, PRAISE, HOW_TO) if name in said)


def _clauses(text: str) -> list[str]:
    clauses: list[str] = []
    for part in _CLAUSE.split(text[:MAX_COMMENT_CHARS]):
        words: list[str] = []
        for word in text_key(part).split():
            if word in lexicon.TURNS:
                clauses.append(" ".join(words))
                words = []
            else:
                words.append(word)
        clauses.append(" ".join(words))
    return [clause for clause in clauses if clause]


def _said(clause: str) -> set[str]:
    said = {name for name, words in _SIMPLE if words.search(clause)}
    for name, words in _DENIABLE:
        for hit in words.finditer(clause):
            if not _denied(clause, hit.start(), hit.end()):
                said.add(name)
            elif name == PRAISE:
                said.add(COMPLAINT)
    return said


def _denied(clause: str, start: int, end: int) -> bool:
    # The matched words may contain a negation themselves ("no answer"): that is their meaning and does not negate them.
    words_before = clause[:start].split()[-_REACH:]
    rest = clause[end:].partition(" ")[2] if end < len(clause) and clause[end] != " " else clause[end:]
    words_after = rest.split()[:_REACH]
    return not lexicon.NEGATES_AFTER.isdisjoint(words_before) or not lexicon.NEGATES_BEFORE.isdisjoint(words_after)


def _plain(sign: str) -> str:
    # Digits of every script; NFKC leaves Persian and Arabic digits unchanged.
    return str(unicodedata.digit(sign)) if sign.isdigit() and not sign.isascii() else sign


def _compiled(words: Iterable[str]) -> re.Pattern[str] | None:
    patterns = []
    for word in words:
        key = text_key(word)
        if key:
            patterns.append(re.escape(key) + ("(?![^ ])" if word.rstrip().endswith(".") else ""))
    return re.compile(f"(?<![^ ])(?:{'|'.join(dict.fromkeys(patterns))})") if patterns else None


def _words(words: Iterable[str]) -> re.Pattern[str]:
    found = _compiled(words)
    assert found is not None
    return found


_DENIABLE: Final = ((COMPLAINT, _words(lexicon.COMPLAINT)), (PRAISE, _words(lexicon.PRAISE)))
_SIMPLE: Final = ((REQUEST, _words(lexicon.REQUEST)), (HOW_TO, _words(lexicon.HOW_TO)))
