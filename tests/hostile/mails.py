"""Mails that are expensive to parse, each a function of its size in bytes. `worst` is for a bench: the whole corpus at one size."""

import base64
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from tests.hostile.texts import TEXTS

Mail = Callable[[int], bytes]
_FROM: Final = b"From: Ali <a@b.example>\r\nMessage-ID: <1@b.example>\r\n"


def _filled(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def _html(piece: bytes) -> Mail:
    return lambda size: _FROM + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + _filled(piece, size)


def _body(charset: bytes, piece: bytes, encoding: bytes = b"8bit") -> Mail:
    head = b"Content-Type: text/plain; charset=" + charset + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return lambda size: _FROM + head + _filled(piece, size)


def _header(name: bytes, piece: bytes) -> Mail:
    return lambda size: name + b": " + _filled(piece, size) + b"\r\n" + _FROM + b"\r\nhi\r\n"


def _words(piece: bytes) -> Mail:
    """Return a mail in which each header that is read is full of encoded words."""
    names = (b"From", b"Subject", b"Message-ID", b"In-Reply-To", b"References", b"Reply-To", b"Precedence", b"Auto-Submitted",
             b"X-Auto-Response-Suppress", b"Content-Type", b"Content-Disposition")  # fmt: skip
    return lambda size: b"".join(n + b": " + _filled(piece, size // len(names)) + b"\r\n" for n in names) + b"\r\nhi"


def _deep(lines: bytes) -> Mail:
    """Return a mail with nested multiparts, then short lines, each of which may be a boundary of any multipart."""

    def made(size: int) -> bytes:
        levels = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(18)
        )
        return _FROM + levels + b"\r\n" + _filled(lines, size)

    return made


def _nested(size: int) -> bytes:
    level = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    return _FROM + _filled(level, size)


def _wide(part: bytes) -> Mail:
    return lambda size: _FROM + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + _filled(part, size)


def _many_headers(line: bytes) -> Mail:
    return lambda size: _FROM + _filled(line, size) + b"\r\nhi"


def _text_body(make: Callable[[int], str]) -> Mail:
    def made(size: int) -> bytes:
        encoded = base64.encodebytes(make(size // 4).encode("utf-8", "replace"))
        return _FROM + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded

    return made


def _subject(make: Callable[[int], str]) -> Mail:
    return lambda size: b"Subject: " + make(size // 4).encode("utf-8", "replace") + b"\r\n" + _FROM + b"\r\nhi"


MAILS: Final[Mapping[str, Mail]] = MappingProxyType(
    {
        "encoded words without a charset": _words(b"=?x?b?gQ==?= "),
        "encoded words of unknown charsets": _words(b"=?y?q?=81?= "),
        "encoded words of rare charsets": _words(b"=?iso-2022-jp?b?gQ==?= =?utf-7?q?+AAA?= "),
        "signatures": _many_headers(b"DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; h=from:to; b=x\r\n"),
        "a signature of many tags": _header(b"DKIM-Signature", b"a=b;"),
        "signatures of hidden folds": _many_headers(b"DKIM-Signature: v=1;\r\n  a=\r\n"),
        "results": _header(b"Authentication-Results", b"mx.example; dmarc=pass header.from=b.example "),
        "results in comments": _header(b"Authentication-Results", b"(mx.example; "),
        "results in quotes": _header(b"Authentication-Results", b'mx.example; dkim=pass header.d="'),
        "received": _many_headers(b"Received: from a by b\r\n"),
        "many headers": _many_headers(b"X-A: b\r\n"),
        "folded header": lambda size: b"Subject: x\r\n" + _filled(b" y\r\n", size) + _FROM + b"\r\nhi",
        "folded references": lambda size: b"References: \r\n" + _filled(b" <a@b>\r\n", size) + _FROM + b"\r\nhi",
        "deep, dashes": _deep(b"--\r\n"),
        "deep, delimiters": _deep(b"--b0\r\n"),
        "deep, inner delimiters": _deep(b"--b17\r\n"),
        "deep, lines": _deep(b"\n"),
        "nested without end": _nested,
        "wide": _wide(b"--b\r\n\r\nx\r\n"),
        "wide, empty": _wide(b"--b\n"),
        "wide, containers": _wide(b"--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n"),
        "wide, files": _wide(b"--b\r\nContent-Type: image/png; name=\"=?x?b?gQ==?=\"\r\n\r\nx\r\n"),
        "wide, unlabelled text": _wide(b"--b\r\nContent-Type: text/plain; charset=q\r\n\r\n\x81\xfe\x90\x02\r\n"),
        "message in message": _wide(b"--b\r\nContent-Type: message/rfc822\r\n\r\n"),
        "no body": lambda size: _FROM + b"\r\n",
        "no end of headers": lambda size: _filled(b"a:b\r", size),
        "quotes": _body(b"utf-8", b">>>>>>>>\r\n"),
        "quoted lines": _body(b"utf-8", b"> " * 40 + b"\n"),
        "html, nested": _html(b"<div>"),
        "html, empty tags": _html(b"<>"),
        "html, open": _html(b"<"),
        "html, scripts": _html(b"<script>"),
        "html, closed scripts": _html(b"<script></script>"),
        "html, comments": _html(b"<!--"),
        "html, entities": _html(b"&amp"),
        "html, unknown entities": _html(b"&zzzzzzzz;"),
        "html, numbers": lambda size: _html(b"9")(size).replace(b"\r\n\r\n", b"\r\n\r\n&#"),
        "html, small numbers": _html(b"&#x41;"),
        "html, breaks": _html(b"<br> "),
        "html, attributes": _html(b"<a href='"),
        "html, quotes in tags": _html(b"<a '>"),
        "html, hidden": _html(b"<p style='display:none'>"),
        "html, block quotes": _html(b"<blockquote>x"),
        "html, links": _html(b"<a href=http://x.example>y</a>"),
        "introductions": _body(b"utf-8", b"On 1/1/2026 10:22 a@b.example wrote\r\n"),
        "headers in the text": _body(b"utf-8", b"From: a@b.example\r\nSent: 1\r\n"),
        "names in sections": _wide(b"--b\r\nContent-Type: image/png; name*0*=utf-8''%D8; name*1*=%B3\r\n\r\nx\r\n"),
        "gbk": _body(b"gbk", b"\x81"),
        "gb18030": _body(b"gb18030", b"\x81\x30\x81"),
        "iso-2022-jp": _body(b"iso-2022-jp", b"\x1b$B!!\x1b(B"),
        "big5": _body(b"big5", b"\xff"),
        "utf-16": _body(b"utf-16", b"\x00\xd8"),
        "utf-8": _body(b"utf-8", b"\xff"),
        "no charset": _body(b"nothing", bytes(range(128, 256))),
        "quoted printable": _body(b"utf-8", b"=", b"quoted-printable"),
        "quoted printable, soft breaks": _body(b"utf-8", b"=\r\n", b"quoted-printable"),
        "base64": _body(b"utf-8", b"gQ==", b"base64"),
        "base64, nothing of it": _body(b"utf-8", b"!", b"base64"),
        **{
            f"{name.decode()}: {piece!r}": _header(name, piece)
            for name in (b"From", b"To", b"Subject", b"References", b"Content-Type", b"Reply-To")
            for piece in (b'"', b"(", b"<", b"@", b"a@b,", b"=?a?q?", b";", b"\\", b"<a@", b" ", b", ", b'; name="')
        },
        **{f"subject of {name}": _subject(make) for name, make in TEXTS.items()},
        **{f"body of {name}": _text_body(make) for name, make in TEXTS.items()},
    }
)  # fmt: skip


def worst(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each mail at one size."""
    for name, make in MAILS.items():
        yield name, make(size)
