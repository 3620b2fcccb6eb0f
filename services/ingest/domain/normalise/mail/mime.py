"""Finds the parts of a mail in one pass over the lines that begin with two hyphens.

The standard library compares each line with the boundaries of all the parts around it: a hundred nested parts with
short lines take half a minute. Here each line is looked up once. Input that can't be understood is accepted as it is: a
part without headers is text; a part whose end boundary is missing ends at the end of the mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.ingest.domain.normalise.mail.charsets import labelled
from services.ingest.domain.normalise.mail.headers import Headers, split

MAX_PARTS = 100
MAX_SECTIONS = 300
"""Parts that only hold other parts are counted too."""
MAX_DEPTH = 20
_MAX_LINES = 50_000
_MAX_BLOCK = 16 << 10
_SEARCHED = 100
_PART_HEADER = re.compile(rb"content-[a-z-]{2,30}\s?:", re.IGNORECASE)
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")


class TooComplex(Exception):  # noqa: N818 - the name reads as what happened
    """The mail is nested deeper than the limit."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that holds no other parts: its headers, and its bytes as they are encoded. `choice`: the number of the
    innermost multipart/alternative around it, and of the alternative that it belongs to; (0, 0) outside of one."""

    headers: Headers
    body: bytes
    choice: tuple[int, int] = (0, 0)

    @property
    def type(self) -> str:
        """Return the media type, `text/plain` when it is missing or malformed."""
        return media_type(self.headers)

    def parameter(self, header: str, name: str) -> str:
        """Return a parameter of a header, or an empty string."""
        return parameter(self.headers, header, name)

    def word(self, header: str) -> str:
        """Return a header's first word in lower case."""
        return _plain(self.headers, header).partition(";")[0].strip().lower()


def leaves(headers: Headers, body: bytes) -> tuple[list[Part], bool]:
    """Return the parts that hold no other parts, in order, and whether there were more than the limit. Raises TooComplex.

    A multipart whose boundary is missing, or is not in the body, has the boundary that its first part shows. Without
    one it is a single text.
    """
    if not media_type(headers).startswith("multipart/"):
        return [Part(headers, body)], False
    for outer in (_boundary(headers), _shown_boundary(body)):
        parts, cut = _walk(headers, body, outer) if outer else ([], False)
        if parts:
            return parts, cut
    return [Part(Headers(()), body)], False


def _walk(headers: Headers, body: bytes, outer: bytes) -> tuple[list[Part], bool]:
    around = [_Container(outer, 1 if _is_choice(headers) else 0)]
    parts: list[Part] = []
    current: Headers | None = None
    begins = sections = 0
    names = [outer]
    for line, (name, start, end) in enumerate(_delimiters(body)):
        if line >= _MAX_LINES:
            return parts, True
        closes = name not in names and name.endswith(b"--")
        name = name[:-2] if closes else name
        if name not in names:
            continue
        if current is not None:
            parts.append(Part(current, body[begins : max(begins, _part_end(body, start))], _choice(around)))
            current = None
        level = len(names) - 1 - names[::-1].index(name)
        del around[level + (0 if closes else 1) :], names[level + (0 if closes else 1) :]
        if not around:
            break
        if closes:
            continue
        around[-1].child += 1
        sections += 1
        if len(parts) >= MAX_PARTS or sections > MAX_SECTIONS:
            return parts, True
        current, begins = _block(body, end)
        inner = _boundary(current)
        if inner:
            if len(around) >= MAX_DEPTH:
                raise TooComplex
            around.append(_Container(inner, sections + 1 if _is_choice(current) else 0))
            names.append(inner)
            current = None
    if current is not None:
        parts.append(Part(current, body[begins:], _choice(around)))
    return parts, False


@dataclass(slots=True)
class _Container:
    """A multipart that we are in. `number`: of a multipart/alternative; 0 for another."""

    boundary: bytes
    number: int
    child: int = 0


def _choice(around: list[_Container]) -> tuple[int, int]:
    return next(((each.number, each.child) for each in reversed(around) if each.number), (0, 0))


def _is_choice(headers: Headers) -> bool:
    return media_type(headers) == "multipart/alternative"


def _shown_boundary(body: bytes) -> bytes:
    """Return the boundary of the first delimiter that has a part's headers after it."""
    for count, (name, _start, end) in enumerate(_delimiters(body)):
        if count >= _SEARCHED:
            break
        if name and _PART_HEADER.match(body, end):
            return name[:200]
    return b""


def media_type(headers: Headers) -> str:
    """Return the media type that these headers name, or `text/plain`."""
    kind = _plain(headers, "content-type").partition(";")[0].strip().lower()
    return kind if _TYPE.fullmatch(kind) else "text/plain"


def parameter(headers: Headers, header: str, name: str) -> str:
    """Return a parameter, found by a pattern: RFC 2231's plain form is enough for values that are only shown."""
    found = re.search(rf'(?i);\s*{name}\*?\s*=\s*(?:"([^"]{{0,500}})"|([^\s;"]{{1,500}}))', _plain(headers, header))
    return (found.group(1) or found.group(2) or "") if found else ""


def _plain(headers: Headers, name: str) -> str:
    values = headers.raw(name)
    return labelled(values[0][:4096], "") if values else ""


def _boundary(headers: Headers) -> bytes:
    if not media_type(headers).startswith("multipart/"):
        return b""
    return parameter(headers, "content-type", "boundary").encode("utf-8", "replace")[:200].rstrip()


def _delimiters(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the lines that begin with two hyphens: the text after the hyphens, its start, and the start of the next line."""
    at = 0 if body.startswith(b"--") else body.find(b"\n--") + 1 or -1
    while at >= 0:
        end = body.find(b"\n", at)
        if end < 0:
            yield body[at + 2 : at + 300].rstrip(), at, len(body)
            return
        yield body[at + 2 : end if end < at + 300 else at + 300].rstrip(), at, end + 1
        at = body.find(b"\n--", end) + 1 or -1


def _part_end(body: bytes, delimiter: int) -> int:
    """Return the end of the part before a delimiter: the line break before it belongs to the delimiter."""
    end = max(0, delimiter - 1)
    return end - 1 if end > 0 and body[end - 1 : end] == b"\r" else end


def _block(body: bytes, start: int) -> tuple[Headers, int]:
    """Return the headers of the part that begins here, and the start of its body."""
    for gap in (b"\r\n", b"\n"):
        if body.startswith(gap, start):
            return Headers(()), start + len(gap)
    block = body[start : start + _MAX_BLOCK]
    next_delimiter = block.find(b"\n--")
    if next_delimiter >= 0:
        block = block[: next_delimiter + 1]
    headers, rest = split(block)
    return headers, start + len(block) - len(rest)
