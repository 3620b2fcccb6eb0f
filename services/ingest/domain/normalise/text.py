"""Rules for text from outside.

Stored text is never altered: what may not be stored is refused. NUL breaks databases and C strings behind us, and a lone
surrogate can't be written as UTF-8, so both are refused by name. Display names are shown beside other people's words, so
there control characters and bidi overrides are taken out: a name must not reorder the line that it stands in.
"""

import re
import unicodedata

from services.ingest.domain.normalise.message import Refusal

# Embeddings, overrides and isolates (UAX 9, 3.1); the marks LRM, RLM and ALM and ZWNJ stay: Persian needs them.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff]+")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_PATH = re.compile(r"^.*[/\\]")

MAX_NAME = 200
MAX_FILE_NAME = 255


def forbidden(text: str, field: str) -> Refusal | None:
    """A refusal when the text holds what may not be stored."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    if found.group() == "\x00":
        return Refusal("NUL_IN_TEXT", field, "holds a NUL character (U+0000): take it out")
    return Refusal("LONE_SURROGATE", field, "holds half of a surrogate pair, which is no character: send valid Unicode")


def clean_name(name: str) -> str:
    """A display name on one line, without control characters and bidi overrides, NFC, at most 200 characters."""
    if name.isascii() and name.isprintable():
        return " ".join(name.split())[:MAX_NAME]
    kept = _SPACES.sub(" ", _CONTROLS.sub(" ", _BIDI_CONTROLS.sub("", name))).strip()
    return unicodedata.normalize("NFC", kept)[:MAX_NAME]


def clean_file_name(name: str) -> str:
    """A file's name without path and control characters, at most 255 characters."""
    return _PATH.sub("", _CONTROLS.sub("", _BIDI_CONTROLS.sub("", name))).strip()[:MAX_FILE_NAME]
