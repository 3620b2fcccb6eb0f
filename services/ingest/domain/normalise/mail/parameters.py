"""Reads a parameter of a MIME header in all the forms that mail programs write.

RFC 2231 has a charset and a language before the value, and continuations: `name*0*=utf-8'fa'%D8%B3; name*1=x`. Many
programs write encoded words (RFC 2047) or plain 8-bit instead. Nothing is nested and every pattern is bounded.
"""

import re
from typing import Final

from services.ingest.domain.normalise.mail.charsets import labelled
from services.ingest.domain.normalise.mail.headers import decode_words

_READ: Final = 8 << 10
_MOST: Final = 100
_FORM: Final = r'(?i)(?:^|;)\s{{0,20}}{name}(?:\*([0-9]{{1,3}}))?(\*)?\s{{0,5}}=\s{{0,5}}(?:"((?:[^"\\]|\\.){{0,4000}})"|([^\s;"]{{1,4000}}))'
_ESCAPED: Final = re.compile(r"\\(.)")
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_CHARSET: Final = re.compile(r"([A-Za-z0-9_.:+-]{0,40})'([A-Za-z0-9-]{0,40})'")


def decoded_parameter(value: bytes, name: str) -> str:
    """Return the parameter `name` of a header's value, decoded; an empty string when it is missing. The first 8 KB count."""
    text = labelled(value[:_READ], "")
    sections: dict[int, tuple[bool, str]] = {}
    plain = ""
    for count, found in enumerate(re.finditer(_FORM.format(name=re.escape(name)), text)):
        if count >= _MOST:
            break
        number, extended, quoted, bare = found.groups()
        given = _ESCAPED.sub(r"\1", quoted) if quoted is not None else bare
        if number is None and not extended:
            plain = plain or given
        else:
            sections.setdefault(int(number or 0), (extended is not None, given))
    if not sections:
        return decode_words(plain.encode("utf-8", "surrogateescape"))
    return _joined([sections[number] for number in sorted(sections)])


def _joined(sections: list[tuple[bool, str]]) -> str:
    charset, pieces = "", []
    for at, (extended, text) in enumerate(sections):
        named = _CHARSET.match(text) if at == 0 and extended else None
        if named is not None:
            charset, text = named[1], text[named.end() :]
        raw = text.encode("utf-8", "surrogateescape")
        pieces.append(_PERCENT.sub(lambda each: bytes.fromhex(each[1].decode()), raw) if extended else raw)
    return labelled(b"".join(pieces), charset)
