"""Splits a mail's text into new text, quoted text, signatures and disclaimers.

Nothing is deleted: the parts in order are the text, so a desk folds them and shows them on request. A wrong fold hides
words from the agent and a missing fold only shows too many, so each rule needs evidence and doubt counts as new.

1. A line that begins with `>` is quoted. So are the lines that introduce it: "On … wrote:", «در تاریخ … نوشت:».
2. An introduction, a separator or a block of headers without marked lines after it begins a quote that lasts to the end.
3. What remains is new, line by line, between the quotes (answers within the quote) and around them.
4. Of the new text, a mobile program's line, a disclaimer and a sign-off with its contact block are folded.
5. A forwarded mail is folded under the customer's comment. Without a comment it is what the customer wants to say: it
   is new.
"""

from dataclasses import dataclass
from typing import Final

from services.ingest.domain.messages import TextPart, TextPartKind
from services.ingest.domain.normalise.mail.quotes import introduction, is_marked, quotes_a_number
from services.ingest.domain.normalise.mail.sign_offs import is_disclaimer, is_mobile_line, sign_off
from services.ingest.domain.normalise.mail.text_lines import Line, lines_of

MAX_LINES: Final = 5_000
"""The number of lines that are examined, which bounds the CPU of the longest mail to a quarter of a second. The lines
after them are of the kind of the last one."""
MOST_PARTS: Final = 400


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text, with its line breaks. Neighbours have different kinds."""

    kind: TextPartKind
    text: str


@dataclass(frozen=True, slots=True)
class Readable:
    """A text in parts. `new`: the new parts without the blank lines around them, separated by a blank line."""

    new: str
    parts: tuple[Part, ...]

    @property
    def folds(self) -> tuple[TextPart, ...]:
        """Return the parts by their lengths; none when all is new, or when there are more than a person would unfold."""
        if len(self.parts) > MOST_PARTS or all(part.kind is TextPartKind.NEW for part in self.parts):
            return ()
        return tuple(TextPart(part.kind, len(part.text)) for part in self.parts)


def readable(text: str, subject: str = "") -> Readable:
    """Split a mail's text. The texts of the parts, joined, are the text. Takes time in proportion to the text.

    `subject`: a block of headers under "Fwd: …" begins a forwarded mail; under another subject, a quoted one.
    """
    lines = lines_of(text, MAX_LINES)
    kinds = _quotes(lines, subject)
    _fold_ends(lines, kinds)
    if not _has_words(lines, kinds, TextPartKind.NEW):
        kinds = _doubted(lines, kinds)
    return _joined(lines, kinds)


def _doubted(lines: list[Line], kinds: list[TextPartKind]) -> list[TextPartKind]:
    """Return the kinds for a mail without new text: a forwarded mail is new, so is a notice, and so is a text that
    begins as a quote without marks, because a web form's mail begins as a quote does."""
    new = {TextPartKind.FORWARDED, TextPartKind.DISCLAIMER}
    first = next((at for at, line in enumerate(lines) if not line.blank), None)
    if first is not None and kinds[first] is TextPartKind.QUOTED and not is_marked(lines[first]):
        new.add(TextPartKind.QUOTED)
    return [
        TextPartKind.NEW if kind in new and not (kind is TextPartKind.QUOTED and is_marked(line)) else kind
        for line, kind in zip(lines, kinds, strict=True)
    ]


def _quotes(lines: list[Line], subject: str) -> list[TextPartKind]:
    """Return NEW, QUOTED or FORWARDED for each line."""
    kinds: list[TextPartKind] = []
    marked_kind = TextPartKind.QUOTED
    introduced = False
    at = 0
    while at < len(lines):
        if is_marked(lines[at]):
            alone = not introduced and quotes_a_number(lines, at)
            kinds.append(TextPartKind.NEW if alone else marked_kind)
            at += 1
            continue
        begins = introduction(lines, at, subject)
        if begins is None:
            kinds.append(TextPartKind.NEW)
            at += 1
            continue
        introduced = True
        kind = TextPartKind.FORWARDED if begins.forwarded else TextPartKind.QUOTED
        if not begins.marked:
            return kinds + [kind] * (len(lines) - at)
        marked_kind = kind
        kinds += [kind] * begins.size
        at += begins.size
    return kinds


def _fold_ends(lines: list[Line], kinds: list[TextPartKind]) -> None:
    """Change the kinds of the signatures and disclaimers within each run of new lines."""
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and kinds[end] is TextPartKind.NEW:
            end += 1
        if end > at:
            _fold_run(lines, kinds, at, end)
        at = max(end, at + 1)


def _fold_run(lines: list[Line], kinds: list[TextPartKind], start: int, end: int) -> None:
    paragraph_begins = True
    disclaimer = False
    for at in range(start, end):
        if lines[at].blank:
            paragraph_begins, disclaimer = True, False
            continue
        disclaimer = disclaimer or (paragraph_begins and is_disclaimer(lines[at]))
        if disclaimer:
            kinds[at] = TextPartKind.DISCLAIMER
        elif is_mobile_line(lines[at]):
            kinds[at] = TextPartKind.SIGNATURE
        paragraph_begins = False
    last = end
    while last > start and (lines[last - 1].blank or kinds[last - 1] is not TextPartKind.NEW):
        last -= 1
    begins = sign_off(lines[start:last])
    for at in range(start + begins, last):
        kinds[at] = TextPartKind.SIGNATURE if kinds[at] is TextPartKind.NEW else kinds[at]


def _has_words(lines: list[Line], kinds: list[TextPartKind], kind: TextPartKind) -> bool:
    return any(not line.blank for line, each in zip(lines, kinds, strict=True) if each is kind)


def _joined(lines: list[Line], kinds: list[TextPartKind]) -> Readable:
    parts: list[tuple[TextPartKind, list[str]]] = []
    leading: list[str] = []
    for line, kind in zip(lines, kinds, strict=True):
        if line.blank:  # belongs to the part before it
            (parts[-1][1] if parts else leading).append(line.raw)
        elif parts and parts[-1][0] is kind:
            parts[-1][1].append(line.raw)
        else:
            parts.append((kind, [*leading, line.raw]))
            leading = []
    if leading:
        parts.append((TextPartKind.NEW, leading))
    made = tuple(Part(kind, "".join(pieces)) for kind, pieces in parts)
    new = (part.text.strip() for part in made if part.kind is TextPartKind.NEW)
    return Readable("\n\n".join(each for each in new if each), made)
