"""The text of a mail's body and its attachments, with bounds on parts, depth and bytes.

- The texts of a multipart/mixed are read in order, plain or HTML: each can have the customer's words.
- Of a multipart/alternative the plain text is read, unless it is empty or only a note for programs without HTML.
- A text with a file name is shown when the mail says that it is inline, or when the mail has no other text.
- Attachments come with their bytes, decoded. A mail with nothing but files has no text, and its files are named.
"""

import binascii
import quopri
from dataclasses import dataclass

from services.ingest.domain.normalise.mail.charsets import Charsets
from services.ingest.domain.normalise.mail.headers import Headers
from services.ingest.domain.normalise.mail.html import MAX_HTML, to_text
from services.ingest.domain.normalise.mail.mime import Part, leaves, media_type
from services.ingest.domain.normalise.mail.parameters import decoded_parameter
from services.ingest.domain.normalise.message import IncomingAttachment
from services.ingest.domain.normalise.text import clean_file_name

MAX_TEXT_BYTES = 1 << 20
"""The maximum number of bytes decoded from a mail's text parts together: the log takes no larger records."""
_LONGEST_NOTE = 300
_MORE_WORDS = 4
"""A short plain text is a note ("this mail needs HTML") when its HTML has more than this many times its words."""
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


def read(headers: Headers, body: bytes, language: str = "") -> Content:
    """Return the body's content. Raises TooComplex; the caller then keeps the raw bytes. `language`: the account's, the
    prior for charsets that are not named."""
    parts, cut = leaves(headers, body)
    reader = _TextReader(Charsets(language))
    texts: list[Part] = []
    files: list[Part] = []  # texts that are meant to be files
    attached: list[IncomingAttachment] = []
    for part in parts:
        kind, name = part.type, _name(part)
        readable = kind in ("text/plain", "text/html")
        if readable and part.word("content-disposition") != "attachment" and (not name or _is_inline(part, parts)):
            texts.append(part)
            continue
        content = _decoded(part.body, part.word("content-transfer-encoding"))
        attached.append(IncomingAttachment(kind, name or _usual_name(kind), len(content), content=content))
        if readable:
            files.append(part)
    text = _joined([reader.best(group) for group in _groups(texts)])
    if not text:
        text = _joined([reader.best([part]) for part in files])
    return Content(_lines(text), tuple(attached), media_type(headers), cut or reader.cut)


class _TextReader:
    """Reads text parts until the limits of bytes and of HTML are used up. HTML is converted only where it is needed,
    because it costs the most."""

    def __init__(self, charsets: Charsets) -> None:
        self.cut = False
        self._charsets = charsets
        self._bytes = MAX_TEXT_BYTES
        self._html = MAX_HTML

    def best(self, alternatives: list[Part]) -> str:
        """Return the text of the alternatives: the plain one's, if it says something."""
        plain = _joined([self._plain(part) for part in alternatives if part.type == "text/plain"])
        marked_up = [part for part in alternatives if part.type == "text/html"]
        if not marked_up or (plain and not _may_be_note(plain)):
            return plain
        shown = _joined([self._shown(part) for part in marked_up])
        return shown if _words(shown) > (_MORE_WORDS * _words(plain) if plain else 0) or not plain else plain

    def _plain(self, part: Part) -> str:
        raw = part.body[: self._bytes]
        self.cut = self.cut or len(raw) < len(part.body)
        self._bytes -= len(raw)
        decoded = _decoded(raw, part.word("content-transfer-encoding"))
        return self._charsets.text(decoded, part.parameter("content-type", "charset"))

    def _shown(self, part: Part) -> str:
        markup = self._plain(part)
        self.cut = self.cut or len(markup) > self._html
        shown = to_text(markup[: self._html])
        self._html = max(0, self._html - len(markup))
        return shown


def _groups(parts: list[Part]) -> list[list[Part]]:
    """Return the texts, those of one multipart/alternative together, in the order of their first part."""
    groups: dict[tuple[int, int], list[Part]] = {}
    for at, part in enumerate(parts):
        key = (part.choice[0], 0) if part.choice[0] else (0, at + 1)
        groups.setdefault(key, []).append(part)
    return list(groups.values())


def _is_inline(part: Part, parts: list[Part]) -> bool:
    """Return whether a text with a name is meant to be read: it says so, or it is the mail's only part."""
    return part.word("content-disposition") == "inline" or len(parts) == 1


def _may_be_note(plain: str) -> bool:
    return len(plain) <= _LONGEST_NOTE


def _words(text: str) -> int:
    return len(text.split())


def _joined(texts: list[str]) -> str:
    return "\n".join(each for each in texts if each.strip())


def _usual_name(kind: str) -> str:
    return "winmail.dat" if kind in ("application/ms-tnef", "application/vnd.ms-tnef") else ""


def _name(part: Part) -> str:
    for header, name in (("content-disposition", "filename"), ("content-type", "name")):
        for value in part.headers.raw(header)[:1]:
            found = decoded_parameter(value, name)
            if found:
                return clean_file_name(found)
    return ""


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


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
