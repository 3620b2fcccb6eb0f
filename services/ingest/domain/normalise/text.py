"""Rules for text from outside.

Stored text is never altered: text that may not be stored is refused. NUL breaks databases and C strings downstream, and
a lone surrogate can't be written as UTF-8, so both are refused by name. Display names are shown beside other people's
texts, so control characters and bidi overrides are removed from them: a name must not reorder the line in which it is
shown.
"""

import re

from services.chassis.text import few_marks, normalised
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.reasons import Reason

# Embeddings, overrides and isolates (UAX 9, 3.1). The marks LRM, RLM, ALM and ZWNJ remain: Persian needs them.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff]+")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_PATH = re.compile(r"^.*[/\\]")

MAX_NAME = 200
MAX_FILE_NAME = 255
_LOOKED_AT = 1000
"""The maximum number of characters of a name that are read."""
_JOINERS = "\u200c\u200d"


def forbidden(text: str, field: str) -> Refusal | None:
    """Return a refusal when the text holds characters that may not be stored."""
    if "\x00" not in text:
        try:
            text.encode()
        except UnicodeEncodeError:
            pass  # a lone surrogate: the search below finds its position
        else:
            return None
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    if found.group() == "\x00":
        return Refusal(Reason.NUL_IN_TEXT, field, "holds a NUL character (U+0000): remove it")
    return Refusal(
        Reason.LONE_SURROGATE, field, "holds half of a surrogate pair, which is not a character: send valid Unicode"
    )


def clean_name(name: str) -> str:
    """Return a display name on one line, without control characters and bidi overrides, NFC, at most 200 characters."""
    name = name[:_LOOKED_AT]
    if name.isascii() and name.isprintable():
        return " ".join(name.split())[:MAX_NAME]
    kept = _SPACES.sub(" ", _CONTROLS.sub(" ", _BIDI_CONTROLS.sub("", name))).strip()
    return normalised("NFC", kept, MAX_NAME)[:MAX_NAME]


def clean_line(text: str, most: int) -> str:
    """Return a subject or another text on one line, without control characters and bidi overrides, at most `most`
    characters."""
    shown = few_marks(_BIDI_CONTROLS.sub("", text[: 2 * most]), 2 * most)
    return "".join(each if each.isprintable() or each in _JOINERS else " " for each in shown).strip()[:most]


def clean_file_name(name: str) -> str:
    """Return a file's name without path and control characters, at most 255 characters."""
    # The name is cut from the end: the path is in front, and the last letters show the file type.
    kept = _CONTROLS.sub("", _BIDI_CONTROLS.sub("", name[-_LOOKED_AT:]))
    return few_marks(_PATH.sub("", kept).strip(), MAX_FILE_NAME)
