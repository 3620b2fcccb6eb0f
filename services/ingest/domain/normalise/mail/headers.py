"""Our own reader of mail headers, which runs in linear time.

The standard library's structured parser takes seconds for a From of 20 KB of quotes, recurses on nested comments and
raises for some Message-IDs. Here there is no nesting, every pattern is bounded, and a value that can't be understood is
left unchanged.
"""

import base64
import binascii
import contextlib
import quopri
import re
from dataclasses import dataclass, field

from services.ingest.domain.normalise.mail.charsets import labelled

MAX_HEADER_BYTES = 16 << 10
MAX_BLOCK_BYTES = 256 << 10
MAX_HEADERS = 1000
MAX_ADDRESS = 400
_MAX_IDS = 50

_NAME = re.compile(rb"[!-9;-~]{1,100}")
_ENCODED = re.compile(r"=\?([A-Za-z0-9_.:+()*-]{1,60})\?([bBqQ])\?([^?\r\n]{0,4000})\?=")
_ANGLE = re.compile(r"<\s*([^\s<>@\"]{1,128}@[^\s<>@\"]{1,255})\s*>")
_BARE = re.compile(r"(?<![^\s,;:(])([^\s<>@\",;:()\[\]]{1,128}@[^\s<>@\",;:()]{1,255})(?![^\s,;)])")
_MESSAGE_ID = re.compile(r"<([^\s<>]{1,500})>")
_WSP = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Headers:
    """A block of headers: raw values by lower-case name, in order."""

    items: tuple[tuple[str, bytes], ...]
    _texts: dict[str, str] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Cache of decoded headers: each header is decoded once."""

    def raw(self, name: str) -> list[bytes]:
        """Return all values of a header, cut at 16 KB."""
        return [value for known, value in self.items if known == name]

    def text(self, name: str) -> str:
        """Return the first value, decoded, or an empty string."""
        if name not in self._texts:
            values = self.raw(name)
            self._texts[name] = decode_words(values[0]) if values else ""
        return self._texts[name]

    def word(self, name: str) -> str:
        """Return the first token of the first value in lower case: `auto-replied; owner=x` gives `auto-replied`."""
        return self.text(name).split(";")[0].strip().lower()

    def has(self, name: str) -> bool:
        """Return whether the header is present."""
        return any(known == name for known, _ in self.items)


def split(raw: bytes) -> tuple[Headers, bytes]:
    """Split headers and body. A block that is too long or has too many headers is cut; the body remains whole."""
    ends = [(at, size) for at, size in ((raw.find(b"\r\n\r\n"), 4), (raw.find(b"\n\n"), 2)) if at >= 0]
    end, gap = min(ends, default=(len(raw), 0))
    found: list[tuple[str, list[bytes]]] = []
    for line in raw[: min(end, MAX_BLOCK_BYTES)].splitlines():
        if line[:1] in (b" ", b"\t"):
            if found:
                found[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name.strip()):
            continue
        if len(found) >= MAX_HEADERS:
            break
        found.append((name.strip().decode("ascii").lower(), [value.strip()]))
    items = tuple((name, b" ".join(values)[:MAX_HEADER_BYTES]) for name, values in found)
    return Headers(items), raw[end + gap :]


def decode_words(raw: bytes) -> str:
    """Decode a header's text: encoded words (RFC 2047) are decoded, raw 8-bit is read as UTF-8 or Persian's usual code
    page. Neighbouring words of one charset are decoded together: some programs split a letter between two words."""
    text = labelled(raw[:MAX_HEADER_BYTES], "")
    out: list[str] = []
    pending: list[bytes] = []
    charset = ""
    at = 0
    for found in _ENCODED.finditer(text):
        between = text[at : found.start()]
        data = _word(found)
        given = found[1].partition("*")[0].lower()
        apart = not at or between.strip() != ""  # white space between two encoded words is not text
        if pending and (apart or data is None or given != charset):
            out.append(labelled(b"".join(pending), charset))
            pending = []
        if apart:
            out.append(between)
        if data is None:
            out.append(found.group())
        else:
            pending.append(data)
            charset = given
        at = found.end()
    if pending:
        out.append(labelled(b"".join(pending), charset))
    out.append(text[at:])
    return _WSP.sub(" ", "".join(out)).strip()


def _word(found: "re.Match[str]") -> bytes | None:
    """Return the bytes of an encoded word; None when it can't be decoded."""
    _, how, content = found.groups()
    raw = content.encode("ascii", "replace")
    try:
        padded = raw + b"=" * (-len(raw) % 4)
        return base64.b64decode(padded) if how in "bB" else quopri.decodestring(raw.replace(b"_", b" "))
    except (binascii.Error, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender that a mail names. `ambiguous`: more than one address could be meant."""

    address: str
    name: str
    ambiguous: bool


def sender(value: bytes, envelope: str) -> Sender:
    """Return the address in a From header. If it is ambiguous or missing, return the envelope's, which at least the
    transport used."""
    raw_text = labelled(value[:MAX_HEADER_BYTES], "")
    found = list(dict.fromkeys(_ANGLE.findall(raw_text))) or list(dict.fromkeys(_BARE.findall(raw_text)))
    if len(found) == 1:
        name = decode_words(value).split("<")[0].strip().strip('"').strip()
        return Sender(found[0], "" if "@" in name else name, False)
    return Sender(envelope, "", bool(found))


def canonical(address: str) -> str:
    """Normalise an address for matching: lower case, the domain in IDNA if possible. An address that is too long is cut."""
    local, _, domain = address[:MAX_ADDRESS].strip().rpartition("@")
    if not domain.isascii():
        with contextlib.suppress(UnicodeError):  # not a name that IDNA accepts: it matches only itself
            domain = domain.encode("idna").decode("ascii")
    return f"{local}@{domain}".lower()


def envelope_address(value: str) -> str:
    """Return the address of an envelope sender without its brackets. The null return path, which servers pass as "<>"
    or as nothing, gives an empty string."""
    return value.strip().removeprefix("<").removesuffix(">").strip()


def message_ids(value: str) -> list[str]:
    """Return the ids in a Message-ID, In-Reply-To or References header, with their brackets; at most the last 50."""
    return [f"<{each}>" for each in _MESSAGE_ID.findall(value)][-_MAX_IDS:]
