"""Reads one HTML tag. The search for its end is bounded, so that quotes without an end cost little."""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,40})(?=[\s/>])")
_WINDOW: Final = 1_000
"""The number of characters in which a quoted `>` is looked for. A longer tag, such as an image's data, ends at its
first `>`."""
_MOST_QUOTES: Final = 40
_LONGEST: Final = 200_000
_STOP: Final = re.compile("[\"'>]")
_ATTRIBUTE: Final = re.compile(
    r"""(?<![^\s"'/])([a-zA-Z-]{1,40})(?:\s{0,5}=\s{0,5}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?"""
)
_READ: Final = 4_000
_EMPTY: Final = frozenset({"br", "img", "hr", "input", "meta", "link", "col", "area", "base", "wbr", "source"})
_WITH_ATTRIBUTES: Final = re.compile(r"style|hidden|href|alt|class|width|height", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag. `end`: the position after it. `attributes`: only those that matter, at most 4,000 characters of them."""

    name: str
    closes: bool
    end: int
    attributes: dict[str, str]

    @property
    def empty(self) -> bool:
        """Return whether such an element has no end."""
        return self.name in _EMPTY

    def has(self, attribute: str) -> bool:
        """Return whether the attribute is present."""
        return attribute in self.attributes

    def get(self, attribute: str) -> str:
        """Return the attribute's value, or an empty string."""
        return self.attributes.get(attribute, "")


def tag_at(markup: str, start: int) -> Tag | None:
    """Return the tag that begins with the `<` at this position; None when it is text: `<5 kg`, `<a@b.example>`."""
    named = _NAME.match(markup, start)
    if named is None:
        return None
    end = _end(markup, named.end())
    if end < 0:
        return None
    closes = markup[start + 1] == "/"
    inner = "" if closes else markup[named.end() : min(end - 1, named.end() + _READ)]
    attributes: dict[str, str] = {}
    if _WITH_ATTRIBUTES.search(inner):
        for found in _ATTRIBUTE.finditer(inner):
            attributes.setdefault(found[1].lower(), found[2] or found[3] or found[4] or "")
    return Tag(named[1].lower(), closes, end, attributes)


def _end(markup: str, start: int) -> int:
    """Return the position after the tag's `>`; -1 when there is none near."""
    at, limit = start, start + _WINDOW
    for _ in range(_MOST_QUOTES):
        found = _STOP.search(markup, at, limit)
        if found is None:
            break
        if found[0] == ">":
            return found.end()
        closing = markup.find(found[0], found.end(), limit)
        if closing < 0:
            break
        at = closing + 1
    simple = markup.find(">", start, start + _LONGEST)
    return simple + 1 if simple >= 0 else -1
