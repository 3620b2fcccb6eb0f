"""Converts HTML to the text that a person would read, in one pass and linear time.

The result is shown as text: nothing here makes HTML safe. A full parser does not help: for 300,000 nested elements nh3
needs minutes.

- A link has its target after its text, an image its alternative text, a list its marks. A table's row is a line.
- A `blockquote` is marked as in plain text, with `> `, so that new text between quotes is recognised.
- A `<` that begins no tag is text: "weight <5 kg".
- Styles, scripts and preheaders are left out, because a reader does not see them. An element without an end hides nothing, and a
  mail in which everything is hidden is shown: too many words are better than none.
"""

import html as entities
import re
from typing import Final

from services.ingest.domain.normalise.mail.html_tags import Tag, tag_at
from services.ingest.domain.normalise.mail.html_text import Page

MAX_HTML: Final = 256 << 10
"""The maximum number of characters that are read; well-known mail programs clip at 100 KB."""
_LONG_REFERENCE: Final = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
_RAW: Final = frozenset({"script", "style", "head", "title", "template", "noscript"})
_PARAGRAPHS: Final = frozenset({"p", "ul", "ol", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "dl"})
_BLOCKS: Final = frozenset(
    {"div", "tr", "li", "hr", "section", "article", "header", "footer", "address", "dt", "dd", "center", "form"}
)
_HIDDEN: Final = re.compile(
    r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|mso-hide\s{0,3}:\s{0,3}all|"
    r"max-height\s{0,3}:\s{0,3}0(?:px|em|pt)?\s{0,3}(?:;|!|$)|opacity\s{0,3}:\s{0,3}0(?:\.0{1,9})?\s{0,3}(?:;|!|$)",
    re.IGNORECASE,
)
_NO_MARGIN: Final = re.compile(
    r"(?<!-)margin(?:-bottom)?\s{0,3}:\s{0,3}0(?:px|cm|in|pt)?(?:\s0\w{0,2}){0,3}\s{0,3}(?:;|$)", re.IGNORECASE
)
_FILLERS: Final = re.compile("(?:[\u034f\u00ad\u200b\u200c\u2007\ufeff] ?){4,}")
_MOST_LISTS: Final = 20


def to_text(markup: str) -> str:
    """Return the visible text, with each block on lines of its own."""
    markup = markup[:MAX_HTML]
    page = Page()
    _Reader(markup, page, hide=True).run()
    shown = page.text()
    if not shown and page.hides:
        page = Page()
        _Reader(markup, page, hide=False).run()
        shown = page.text()
    return _FILLERS.sub(" ", shown)


class _Reader:
    """One pass over the markup."""

    def __init__(self, markup: str, page: Page, hide: bool) -> None:
        self._markup = markup
        lower = markup.lower()
        # A letter with a longer lower case would shift the positions.
        self._lower = lower if len(lower) == len(markup) else markup
        self._page = page
        self._hide = hide
        self._endless: set[str] = set()  # ends that do not exist: a second search would be quadratic
        self._hidden = ""  # the name of the hidden element that we are in
        self._depth = 0
        self._pre = 0
        self._lists: list[int] = []  # the next number of each list around; 0: without numbers
        self._link = ""

    def run(self) -> None:
        at = 0
        markup = self._markup
        last = markup.rfind(">")
        while 0 <= (start := markup.find("<", at)) < last:  # after the last `>` there is no tag
            self._say(markup[at:start])
            at = self._after(start)
        self._say(markup[at:])
        self._page.reveal(all_of_it=bool(self._hidden))

    def _after(self, start: int) -> int:
        """Read what begins with this `<`; return the position after it."""
        markup = self._markup
        for opens, closes in (("<!--", "-->"), ("<!", ">"), ("<?", ">")):
            if markup.startswith(opens, start):
                return self._skipped(start, opens, closes)
        tag = tag_at(markup, start)
        if tag is None:
            self._say("<")
            return start + 1
        if tag.name in _RAW and not tag.closes:
            return self._raw(tag)
        self._tag(tag)
        return tag.end

    def _skipped(self, start: int, opens: str, closes: str) -> int:
        end = self._markup.find(closes, start + len(opens)) if opens not in self._endless else -1
        if end >= 0:
            return end + len(closes)
        self._endless.add(opens)
        return start + len(opens)

    def _raw(self, tag: Tag) -> int:
        end = self._lower.find(f"</{tag.name}", tag.end) if tag.name not in self._endless else -1
        if end >= 0:
            return end
        self._endless.add(tag.name)
        return tag.end

    def _say(self, text: str) -> None:
        if text:
            plain = _LONG_REFERENCE.sub("\ufffd", text)  # no character has such a number, and parsing it takes long
            self._page.say(entities.unescape(plain).replace("\x00", ""), keep_breaks=self._pre > 0)

    def _tag(self, tag: Tag) -> None:
        if self._hidden:
            if tag.name == self._hidden and not tag.empty:
                self._depth += -1 if tag.closes else 1
                if self._depth == 0:
                    self._hidden = ""
                    self._page.forget()
            return
        if self._hide and not tag.closes and not tag.empty and tag.attributes and _is_hidden(tag):
            self._hidden, self._depth = tag.name, 1
            self._page.hide()
            return
        name = tag.name
        if name == "br":
            self._page.line_break()
        elif name == "blockquote":
            self._page.quote(-1 if tag.closes else 1)
        elif name == "a":
            self._anchor(tag)
        elif name == "img":
            self._image(tag)
        elif name in ("td", "th"):
            self._page.cell() if tag.closes else None
        elif name in _PARAGRAPHS:
            self._paragraph(tag)
        elif name in _BLOCKS:
            self._page.block()
            if name == "li" and not tag.closes:
                self._item()

    def _paragraph(self, tag: Tag) -> None:
        name = tag.name
        if name == "pre":
            self._pre = max(0, self._pre + (-1 if tag.closes else 1))
        if name in ("ul", "ol"):
            self._list(tag)
        tight = name == "p" and ("msonormal" in tag.get("class").lower() or _NO_MARGIN.search(tag.get("style")))
        if tight or (name == "table" and not tag.closes and not self._page.at_start):
            self._page.block()
        elif name == "p" and tag.closes:
            self._page.block(gap=self._page.gap)
        else:
            self._page.block(gap=True)
        if name == "p" and not tag.closes:
            self._page.gap = not tight

    def _list(self, tag: Tag) -> None:
        if tag.closes and self._lists:
            self._lists.pop()
        elif not tag.closes and len(self._lists) < _MOST_LISTS:
            self._lists.append(1 if tag.name == "ol" else 0)

    def _item(self) -> None:
        number = self._lists[-1] if self._lists else 0
        self._page.say(f"{number}. " if number else "- ", keep_breaks=False)
        if number:
            self._lists[-1] = number + 1

    def _anchor(self, tag: Tag) -> None:
        if not tag.closes:
            target = entities.unescape(tag.get("href")[:2000]).strip()
            self._link = target if target.lower().startswith(("http://", "https://", "mailto:", "tel:")) else ""
            self._page.begin_link()
        elif self._link:
            self._page.end_link(self._link)
            self._link = ""

    def _image(self, tag: Tag) -> None:
        alternative = " ".join(entities.unescape(tag.get("alt")[:500]).split())
        if alternative:
            self._page.say(f"[{alternative}]", keep_breaks=False)
        elif not (tag.get("width") in ("0", "1") or tag.get("height") in ("0", "1")):
            self._page.images += 1


def _is_hidden(tag: Tag) -> bool:
    return tag.has("hidden") or (tag.has("style") and _HIDDEN.search(tag.get("style")) is not None)
