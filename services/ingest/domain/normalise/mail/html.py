"""Converts HTML to the text that a person would read, in one pass and linear time.

The result is shown as text: nothing here makes HTML safe. A full parser does not help: for 300,000 nested elements nh3
needs minutes.
"""

import html as entities
import re

MAX_HTML = 256 << 10
"""The maximum number of characters that are read; well-known mail programs clip at 100 KB."""
_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
_HIDDEN = re.compile(r"(?:script|style|head|title|template)\b", re.IGNORECASE)
_BREAKS = re.compile(r"/?(?:p|div|br|tr|li|h[1-6]|blockquote|table|ul|ol|hr|pre|section|article)\b", re.IGNORECASE)
_CELL = re.compile(r"/t[dh]\b", re.IGNORECASE)
_BLANK = re.compile(r"[ \t\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*\n ?")


def to_text(markup: str) -> str:
    """Return the visible text, with each block on lines of its own."""
    markup = markup[:MAX_HTML]
    lower = markup.lower()
    if len(lower) != len(markup):
        lower = markup  # a letter has a longer lower case: positions would not match
    out: list[str] = []
    endless: set[str] = set()  # elements whose end was not found; searching again would be quadratic
    at = 0
    while (start := markup.find("<", at)) >= 0:
        out.append(_flat(markup[at:start]))
        if markup.startswith("<!--", start):
            end = markup.find("-->", start + 4)
            at = end + 3 if end >= 0 else len(markup)
            continue
        end = markup.find(">", start)
        if end < 0:
            out.append(_flat(markup[start:]))
            at = len(markup)
            break
        tag = markup[start + 1 : end]
        at = end + 1
        hidden = _HIDDEN.match(tag)
        if hidden is not None:
            element = hidden.group().lower()
            close = lower.find(f"</{element}", at) if element not in endless else -1
            if close >= 0:
                at = close
            else:
                # An element without an end hides nothing: showing a message with its styles is better than losing it.
                endless.add(element)
        elif _BREAKS.match(tag):
            out.append("\n")
        elif _CELL.match(tag):
            out.append("\t")
    out.append(_flat(markup[at:]))
    references = _LONG_REFERENCE.sub(
        "\ufffd", "".join(out)
    )  # no character has such a number, and parsing it takes long
    text = _BLANK.sub(" ", entities.unescape(references)).replace("\x00", "")
    return _LINES.sub("\n\n", text).strip()


def _flat(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
