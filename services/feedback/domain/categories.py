"""Categories of free text by rule: the same text and the same rules always give the same categories.

Texts and words are compared by their text key (`services.policy.model.categories`).

A tenant's rule matches if one of its `any` is found and none of its `none`. If a tenant has no rules, the built-in
words apply, with negation: a word that is negated in its clause ("not helpful", "no problem", «راضی نبودم», «مشکلی
نداشتم») does not count, and negated praise is a complaint.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from services.feedback.domain import lexicon
from services.policy.model.categories import CategoryRule, text_key, words_pattern
from services.policy.model.surveys import MAX_COMMENT_CHARS

COMPLAINT: Final = "complaint"
REQUEST: Final = "request"
PRAISE: Final = "praise"
HOW_TO: Final = "how-to"
MOST_CATEGORIES: Final = 8
_REACH: Final = 3

_CLAUSE: Final = re.compile(r"[.!?؟;؛\n،,:]+")


def classify(texts: Sequence[str], rules: Sequence[CategoryRule] = ()) -> tuple[str, ...]:
    """Return the categories of a response's texts, in the rules' order; the built-in categories if there are no
    rules."""
    if not rules:
        return _built_in(texts)
    keys = [text_key(text) for text in texts if text]
    return tuple(dict.fromkeys(each.name for each in rules if _holds(each, keys)))[:MOST_CATEGORIES]


def _holds(each: CategoryRule, keys: list[str]) -> bool:
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
        # A single character may stand for eighteen: what it stands for has the same limit as a comment.
        for word in text_key(part)[:MAX_COMMENT_CHARS].split():
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


def _words(words: Iterable[str]) -> re.Pattern[str]:
    found = words_pattern(words)
    assert found is not None
    return found


_DENIABLE: Final = ((COMPLAINT, _words(lexicon.COMPLAINT)), (PRAISE, _words(lexicon.PRAISE)))
_SIMPLE: Final = ((REQUEST, _words(lexicon.REQUEST)), (HOW_TO, _words(lexicon.HOW_TO)))
