"""The text of a mail's body and its attachments, with bounds on parts, depth and bytes.

Text parts that are meant to be read are joined. HTML is used only where there is no plain text. Attachments are
described, never kept.
"""

import binascii
import quopri
import re
from dataclasses import dataclass

from services.ingest.domain.normalise.mail.charsets import Charsets
from services.ingest.domain.normalise.mail.headers import Headers, decode_words
from services.ingest.domain.normalise.mail.html import MAX_HTML, to_text
from services.ingest.domain.normalise.mail.mime import Part, leaves, media_type
from services.ingest.domain.normalise.message import IncomingAttachment
from services.ingest.domain.normalise.text import clean_file_name

MAX_TEXT_BYTES = 1 << 20
"""The maximum number of bytes decoded from a mail's text parts together: the log takes no larger records."""
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)  # padding too: it can be anywhere


@dataclass(frozen=True, slots=True)
class Content:
    """The text that a person would read, and the attachments. `cut`: the mail has more than we read."""

    text: str
    attachments: tuple[IncomingAttachment, ...]
    content_type: str
    cut: bool


def read(headers: Headers, body: bytes) -> Content:
    """Return the body's content. Raises TooComplex; the caller then keeps the raw bytes."""
    parts, cut = leaves(headers, body)
    charsets = Charsets()
    plain: list[str] = []
    marked_up: list[str] = []
    attached: list[IncomingAttachment] = []
    left = MAX_TEXT_BYTES
    for part in parts:
        kind = part.type
        name = _name(part)
        if kind not in ("text/plain", "text/html") or name or part.word("content-disposition") == "attachment":
            attached.append(IncomingAttachment(kind, name, _size(part), ""))
            continue
        raw = part.body[:left]
        cut = cut or len(raw) < len(part.body)
        left -= len(raw)
        text = charsets.text(_decoded(raw, part.word("content-transfer-encoding")), _charset(part))
        if kind == "text/plain":
            plain.append(text)
        else:
            marked_up.append(text)
    text = _joined(plain)
    if not text:  # HTML is converted only where it is needed, because it costs the most
        cut = cut or sum(map(len, marked_up)) > MAX_HTML
        text = _joined(_readable(marked_up))
    return Content(_lines(text), tuple(attached), media_type(headers), cut)


def _readable(marked_up: list[str]) -> list[str]:
    left = MAX_HTML
    texts = []
    for each in marked_up:
        texts.append(to_text(each[:left]))
        left = max(0, left - len(each))
    return texts


def _joined(texts: list[str]) -> str:
    return "\n".join(each for each in texts if each.strip())


def _charset(part: Part) -> str:
    return part.parameter("content-type", "charset")


def _name(part: Part) -> str:
    given = part.parameter("content-disposition", "filename") or part.parameter("content-type", "name")
    charset, quote, rest = given.partition("''")
    if quote and charset and len(charset) < 40:
        return clean_file_name(Charsets().text(_percent(rest), charset))
    return clean_file_name(decode_words(given.encode("utf-8", "surrogateescape")))


def _percent(text: str) -> bytes:
    return re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda found: bytes.fromhex(found.group(1).decode()),
        text.encode("utf-8", "surrogateescape"),
    )


def _decoded(raw: bytes, how: str) -> bytes:
    if how == "base64":
        return _base64(raw)
    return quopri.decodestring(raw) if how == "quoted-printable" else raw


def _base64(raw: bytes) -> bytes:
    clean = raw.translate(None, _NOT_BASE64)
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    try:
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:
        return raw


def _size(part: Part) -> int:
    encoded = part.word("content-transfer-encoding") == "base64"
    return len(part.body) * 3 // 4 if encoded else len(part.body)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
