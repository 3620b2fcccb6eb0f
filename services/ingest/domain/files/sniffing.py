"""The type of a file, from its first bytes. The type that a sender states is never used.

Binary formats are found by `filetype`. A text is HTML, SVG or XML if it begins like one, because a browser would treat
it so; every other text is text/plain.
"""

import re
from typing import Final

from filetype import guess_mime

HEAD_BYTES: Final = 8192
"""The number of bytes that are looked at."""
UNKNOWN: Final = "application/octet-stream"
_ACTIVE: Final = (
    ("image/svg+xml", re.compile(r"<(?:\w{1,20}:)?svg[\s>]", re.IGNORECASE)),
    (
        "text/html",
        re.compile(r"<(?:!doctype\s+html|html|head|body|script|iframe|title|meta|style)[\s>/]", re.IGNORECASE),
    ),
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_OFTEN_TEXT: Final = frozenset({"application/postscript"})
_BY_MARK: Final = (
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\x7fELF", "application/x-executable"),
    (b"#!", "text/x-script"),
)


def sniffed(head: bytes) -> str:
    """Return the MIME type of a file that begins with these bytes (`HEAD_BYTES` are enough)."""
    head = bytes(head[:HEAD_BYTES])
    for mark, kind in _BY_MARK:
        if head.startswith(mark):
            return kind
    found = guess_mime(head)
    if found is not None and found not in _OFTEN_TEXT:
        return str(found)
    text = _text(head)
    if text is None:
        return str(found) if found is not None else UNKNOWN
    for kind, begins in _ACTIVE:
        if begins.search(text):
            return kind
    return "application/xml" if text.lstrip("\ufeff \t\r\n").startswith("<?xml") else "text/plain"


def _text(head: bytes) -> str | None:
    """Return the bytes as text; None when they are not a text. A character that is cut at the end is left out."""
    if not head:
        return None
    decoded = head.decode("utf-16", "ignore") if head[:2] in (b"\xff\xfe", b"\xfe\xff") else _of_one_charset(head)
    return None if _CONTROLS.search(decoded) else decoded


def _of_one_charset(head: bytes) -> str:
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) == HEAD_BYTES and error.start > len(head) - 4:
            return head[: error.start].decode("utf-8")
        # All bytes are a text in a charset of one byte, if they have no control characters.
        return head.decode("latin-1")
