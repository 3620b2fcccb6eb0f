"""The tokens of a CEL expression. A token that the library might read in another way is refused."""

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\n\f\r]+|//[^\n]*)
    |(?P<text>[bBrR]{0,2}(?:\"\"\"|'''|"|'))
    |(?P<number>0x[0-9a-fA-F]+[uU]?|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:([\\\"'`?abfnrtv])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))"
)
_PLAIN: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


class Unestimable(ValueError):  # noqa: N818 - a verdict about an expression
    """The expression cannot be estimated. The text is for the author of the expression."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: text, number, name, sign or end. `text`: the characters as written."""

    kind: str
    text: str


def tokens(source: str) -> list[Token]:
    """Return all tokens, the last one an end. Raises Unestimable."""
    found: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise Unestimable(f"`{source[at : at + 10]}` is not understood")
        kind, text = match.lastgroup, match.group()
        at = match.end()
        if kind == "text":
            end = _end_of_text(source, at, text)
            text, at = source[match.start() : end], end
        if kind != "space":
            found.append(Token("sign" if text == "in" else kind, text))
    return [*found, Token("end", "the end")]


def text_of(literal: str) -> str:
    """Return the value of a text literal. Raises Unestimable for an escape that CEL does not define."""
    prefix = re.match("[bBrR]*", literal)
    assert prefix is not None
    body = literal[prefix.end() :]
    quote = 3 if body[:3] in ('"""', "'''") else 1
    body = body[quote:-quote]
    if "r" in prefix.group().lower():
        return body
    if "\\" in _ESCAPE.sub("", body):
        raise Unestimable("an escape in a text is not understood")
    return _ESCAPE.sub(_unescaped, body)


def _unescaped(found: "re.Match[str]") -> str:
    plain, two, four, eight, octal = found.groups()
    if plain:
        return _PLAIN.get(plain, plain)
    number = int(octal, 8) if octal else int(two or four or eight, 16)
    if number > 0x10FFFF:
        raise Unestimable("an escape in a text is not a character")
    return chr(number)


def _end_of_text(source: str, at: int, opening: str) -> int:
    quote = opening.lstrip("bBrR")
    raw = "r" in opening.lower()
    while at < len(source):
        if source[at] == "\\" and not raw:
            at += 2
        elif source.startswith(quote, at):
            return at + len(quote)
        elif source[at] in "\r\n" and len(quote) == 1:
            break
        else:
            at += 1
    raise Unestimable("a text has no end")
