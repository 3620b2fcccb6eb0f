"""The text of a mail's body and what is attached, with bounds on parts, depth and each part's headers.

The standard library splits the MIME structure; text is decoded here. Text parts that are meant to be read are joined; HTML
is used only where there is no plain text. Attachments are described, never kept.
"""

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

from services.ingest.domain.normalise.mail.charsets import decode
from services.ingest.domain.normalise.mail.headers import Headers, decode_words
from services.ingest.domain.normalise.mail.html import to_text
from services.ingest.domain.normalise.message import IncomingAttachment
from services.ingest.domain.normalise.text import clean_file_name

MAX_PARTS = 100
MAX_DEPTH = 20
_MAX_PART_HEADER = 4096
_CONTENT_HEADER = re.compile(rb"(?im)^content-[a-z-]{1,40}:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
_CONTAINER = re.compile(rb"(?i)(?:multipart|message)/")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")


class TooComplex(Exception):  # noqa: N818 - reads as what happened
    """More parts or deeper than we look."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a person would read, and what is attached. `cut`: there were more parts than we look at."""

    text: str
    attachments: tuple[IncomingAttachment, ...]
    content_type: str
    cut: bool


def read(headers: Headers, body: bytes) -> Content:
    """The body's content. Raises TooComplex; the caller then keeps the raw bytes."""
    if len(_CONTAINER.findall(body)) > MAX_PARTS:
        # Each level of nesting names a container: so few can't be deep enough to exhaust the parser's stack.
        raise TooComplex
    top = b"".join(
        b"%s: %s\r\n" % (name.encode(), value[:_MAX_PART_HEADER].replace(b"\r", b" ").replace(b"\n", b" "))
        for name, value in headers.items
        if name.startswith("content-")
    )
    capped = _CONTENT_HEADER.sub(lambda found: found.group()[:_MAX_PART_HEADER], body)
    parsed = BytesParser(policy=compat32).parsebytes(top + b"\r\n" + capped)
    plain: list[str] = []
    marked_up: list[str] = []
    attached: list[IncomingAttachment] = []
    cut = False
    for number, part in enumerate(_leaves(parsed, 0)):
        if number >= MAX_PARTS:
            cut = True
            break
        kind = _type(part)
        name = _name(part)
        inline_text = kind in ("text/plain", "text/html") and not name and not _is_attachment(part)
        if not inline_text:
            attached.append(IncomingAttachment(kind, name, _size(part), ""))
        elif kind == "text/plain":
            plain.append(_text(part))
        else:
            marked_up.append(to_text(_text(part)))
    text = "\n".join(each for each in plain if each.strip()) or "\n".join(each for each in marked_up if each.strip())
    return Content(_lines(text), tuple(attached), _type(parsed), cut)


def _leaves(part: "Message[str, str]", depth: int) -> Iterator["Message[str, str]"]:
    payload = _payload(part)
    if isinstance(payload, list) and _type(part) != "message/rfc822":
        if depth >= MAX_DEPTH:
            raise TooComplex
        for child in payload:
            if isinstance(child, Message):
                yield from _leaves(child, depth + 1)
        return
    yield part


def _header(part: "Message[str, str]", name: str) -> str:
    for known, value in part.raw_items():
        if known.lower() == name:
            return str(value)
    return ""


def _type(part: "Message[str, str]") -> str:
    kind = _header(part, "content-type").partition(";")[0].strip().lower()
    return kind if _TYPE.fullmatch(kind) else "text/plain"


def _parameter(part: "Message[str, str]", header: str, name: str) -> str:
    """A parameter by pattern: RFC 2231's plain form is enough for what is only shown."""
    value = _header(part, header)
    found = re.search(rf'(?i);\s*{name}\*?\s*=\s*(?:"([^"]{{0,500}})"|([^\s;"]{{1,500}}))', value)
    return (found.group(1) or found.group(2) or "") if found else ""


def _is_attachment(part: "Message[str, str]") -> bool:
    return _header(part, "content-disposition").strip().lower().startswith("attachment")


def _name(part: "Message[str, str]") -> str:
    given = _parameter(part, "content-disposition", "filename") or _parameter(part, "content-type", "name")
    charset, quote, rest = given.partition("''")
    if quote and charset and len(charset) < 40:
        given = decode(_percent(rest), charset)
        return clean_file_name(given)
    return clean_file_name(decode_words(given.encode("utf-8", "surrogateescape")))


def _percent(text: str) -> bytes:
    return re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda found: bytes.fromhex(found.group(1).decode()),
        text.encode("utf-8", "surrogateescape"),
    )


def _payload(part: "Message[str, str]") -> object:
    # The public call decodes 8-bit text by whatever charset the part names, and loses the bytes when the name is wrong.
    return vars(part).get("_payload")


def _raw(part: "Message[str, str]") -> bytes:
    payload = _payload(part)
    return payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""


def _text(part: "Message[str, str]") -> str:
    raw = _raw(part)
    how = _header(part, "content-transfer-encoding").strip().lower()
    if how == "base64":
        raw = _base64(raw)
    elif how == "quoted-printable":
        raw = quopri.decodestring(raw)
    return decode(raw, _parameter(part, "content-type", "charset"))


def _base64(raw: bytes) -> bytes:
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    try:
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:
        return raw


def _size(part: "Message[str, str]") -> int:
    payload = _payload(part)
    if not isinstance(payload, str):
        return 0
    encoded = _header(part, "content-transfer-encoding").strip().lower() == "base64"
    return len(payload) * 3 // 4 if encoded else len(payload)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
