"""Which parts of a customer's comment may be stored: readable text, and no character that changes how the text around
it is shown.

Removed: control characters except line breaks and tabs; overrides, embeddings and isolates of the bidirectional
algorithm (they can make text read as something else); lone surrogates; non-characters. Kept: zero-width non-joiner and
joiner, which Persian and emoji need.
"""

import re

from services.policy.model.surveys import MAX_COMMENT_CHARS

_LINE_BREAKS = re.compile("\r\n?|[\u0085\u2028\u2029]")
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\uffff\U000e0000-\U000e007f]"
)
_MANY_BREAKS = re.compile("\n{3,}")


def clean_comment(text: str) -> str:
    """Return the text as it may be stored: at most MAX_COMMENT_CHARS characters, without leading or trailing blanks."""
    # Limit the length first: the time for cleaning grows with it, and cleaning only removes characters.
    text = _LINE_BREAKS.sub("\n", text[: 4 * MAX_COMMENT_CHARS])
    return _MANY_BREAKS.sub("\n\n", _UNWANTED.sub("", text)).strip()[:MAX_COMMENT_CHARS].rstrip()
