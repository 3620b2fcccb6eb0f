"""Recognises where a quoted or forwarded mail begins, as the mail programs of Persian and English customers write it."""

import re
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.normalise.mail.text_lines import Line

_WRAPPED: Final = 4
"""The number of lines over which an introduction can be wrapped."""
_BLOCK: Final = 14
"""The number of lines in which a block of headers is searched, with the blank ones."""
_LONGEST: Final = 330
_YEAR: Final = re.compile(r"[0-9]{4}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}")
_TIME: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}")
_NUMBER: Final = re.compile(r">\s?[0-9.,]+\s?\S")
_BEGINS: Final = re.compile(
    r"(?:on|at|in|am|le|el|il|em|op|den|في|فی|در)\s|[0-9]{1,4}[-/.]|[0-9]{1,2}\s|-{2,10}\s?on\s|[^\s@]{1,64}@|.{0,80}\bwrote\b|.{0,80}\bنوشت",
    re.IGNORECASE,
)
_WROTE: Final = re.compile(
    r"(?:\bwrote|\bwrites|\bsaid|\bschrieb(?:\s.{1,80})?|\ba écrit|\bescribió|\bha scritto|\bescreveu|\bschreef|\bskrev|\byazdı|"
    r"\bنوشت(?:ه(?:\s?(?:است|اند|شده|شد))?|ند)?(?:\s?توسط.{0,80})?|\bکتب.{0,60}|\bچنین نوشت|\bمرقوم .{0,20})\s?:$",
    re.IGNORECASE,
)
_WHEN: Final = re.compile(
    r"[0-9]{1,2}[:٫][0-9]{2}|[0-9]{4}|[0-9]{1,2}[-/.][0-9]{1,2}|[<(]?[^\s@<]{1,64}@[^\s@]{2,}|\b[0-9]{1,2}(?:st|nd|rd|th)?\s[^\W\d]{3,}"
)
_DATE_FIRST: Final = re.compile(
    r"(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4})[\s,].{5,150}<[^\s<>@]{1,64}@[^\s<>]{2,200}>\s?:|"
    r"-{2,10}\s?on\s.{8,250}\swrote\s?-{2,10}",
    re.IGNORECASE,
)
"""How Yandex, Zoho and old Gmail introduce a mail: without a verb, or between dashes."""
_ANY_LANGUAGE: Final = re.compile(r"(?=.{0,200}[0-9]{4})(?=.{0,200}[0-9]{1,2}:[0-9]{2}).{8,200}[^\s@]@[^\s@].{2,100}:")
"""A date, a time and an address before a colon: before marked lines it is an introduction in any language."""
_IN_A_LINE: Final = re.compile(
    r".{8,200}<[^\s<>@]{1,64}@[^\s<>]{2,200}>\s?(?:wrote|نوشت(?:ه(?: است| اند)?)?)\s?:\s", re.IGNORECASE
)
_WHO_ONLY: Final = re.compile(
    r"[^\s:]{1,30}(?:\s[^\s:]{1,30}){0,4}\s(?:wrote|writes|نوشت|نوشته است|نوشته بود|نوشته اند|نوشتند)\s?:"
)
_RULE: Final = r"[-_=*~–—]{2,40}"
_FORWARD_WORDS: Final = (
    r"(?:begin\s)?(?:forwarded|fwd)(?:\s(?:message|mail|e-?mail|by.{1,160}))|message transféré|weitergeleitete nachricht|"
    r"(?:شروع\s)?(?:ا?یمیل|پیام|پیغام|نامه)\s?(?:باز)?\s?(?:هدایت|فوروارد|ارسال|ارجاع)\s?(?:شده|داده شده)"
)
_ORIGINAL_WORDS: Final = (
    r"original\s(?:message|mail|appointment)|reply\smessage|urspr\w{1,20} nachricht|message d'origine|mensaje original|"
    r"(?:پیام|پیغام|ا?یمیل|نامه|متن)\s?(?:اصلی|قبلی|اولیه)"
)
_FORWARDED: Final = re.compile(
    rf"(?:{_RULE}\s?(?:{_FORWARD_WORDS})\s?:?\s?(?:{_RULE})?|(?:begin|شروع)\s.{{0,10}}(?:{_FORWARD_WORDS})\s?:?|(?:{_FORWARD_WORDS})\s?:)",
    re.IGNORECASE,
)
_ORIGINAL: Final = re.compile(
    rf"(?:{_RULE}\s?(?:{_ORIGINAL_WORDS})\s?:?\s?(?:{_RULE})?|(?:{_ORIGINAL_WORDS})\s?:)", re.IGNORECASE
)
_REPLY_ABOVE: Final = re.compile(
    r"[-#=*_\s]{0,20}(?:please\s)?(?:type|write|enter)?\s?(?:your\s)?(?:reply|replies|response)\s(?:above|"
    r"over)\s(?:this|the)\s(?:line|message).{0,40}|"
    r"[-#=*_\s]{0,20}(?:لطفا )?پاسخ (?:خود )?را (?:در )?بالای این خط .{0,40}",
    re.IGNORECASE,
)
_ONLY_RULE: Final = re.compile(r"[-_=*–—]{5,200}")
_HEADER: Final = re.compile(
    r"\*{0,2}(?:(?P<sender>from|von|de|از طرف|از|فرستنده|من)|(?P<when>sent|date|gesendet|datum|envoyé|enviado|inviato|fecha|"
    r"ارسال(?: ?شده)?(?: در)?|تاریخ(?: ارسال)?|زمان|التاریخ)|"
    r"(?P<to>to|an|à|para|به|گیرنده|الی)|(?P<cc>cc|bcc|reply-to|رونوشت|کپی)|(?P<subject>subject|betreff|objet|asunto|oggetto|assunto|موضوع|"
    r"عنوان|الموضوع))\s?\*{0,2}\s?:",
    re.IGNORECASE,
)
_FORM_FIELD: Final = re.compile(
    r"\*{0,2}(?:message|comments?|name|phone|body|question|page|url|پیام|متن(?: پیام)?|توضیح(?:ات)?|نام|تلفن|شماره تماس)\s?\*{0,2}\s?:",
    re.IGNORECASE,
)
_FORWARD_SUBJECT: Final = re.compile(
    r"\s*(?:(?:re|پاسخ)\s?:\s?)?(?:fwd?|fw|tr|wg|هدایت|ارجاع|فوروارد|بازارسال)\s?:", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Introduction:
    """The lines that introduce another mail. `size` in lines. `marked`: the lines of that mail begin with `>`."""

    size: int
    marked: bool
    forwarded: bool


def is_marked(line: Line) -> bool:
    """Return whether the line begins with the quote mark."""
    return line.key.startswith(">")


def quotes_a_number(lines: list[Line], at: int) -> bool:
    """Return whether a single marked line compares with a number: "> 5 kg is too heavy" is not a quote."""
    near = (each for each in (at - 1, at + 1) if 0 <= each < len(lines))
    return _NUMBER.match(lines[at].key) is not None and not any(is_marked(lines[each]) for each in near)


def introduction(lines: list[Line], at: int, subject: str = "") -> Introduction | None:
    """Return the introduction that begins at this line, or None. Looks at a bounded number of lines after it."""
    key = lines[at].key
    if not key:
        return None
    if _REPLY_ABOVE.fullmatch(key):
        return Introduction(1, False, False)
    for pattern, forwarded in ((_FORWARDED, True), (_ORIGINAL, False)):
        if pattern.fullmatch(key):
            return Introduction(1, _marked_after(lines, at + 1), forwarded)
    forwards = _FORWARD_SUBJECT.match(subject) is not None
    if _ONLY_RULE.fullmatch(key):
        following = _next_words(lines, at + 1)
        if following is not None and _is_block(lines, following):
            return Introduction(1, False, forwards)
        return None
    if _is_block(lines, at):
        return Introduction(1, False, forwards)
    return _written(lines, at)


def _written(lines: list[Line], at: int) -> Introduction | None:
    """Return the introduction "On … wrote:", which is often wrapped."""
    if _ANY_LANGUAGE.fullmatch(lines[at].key) and _marked_after(lines, at + 1):
        return Introduction(1, True, False)
    if not _BEGINS.match(lines[at].key):
        return None
    joined = ""
    for size in range(1, _WRAPPED + 1):
        if at + size > len(lines) or (size > 1 and lines[at + size - 1].blank):
            return None
        joined = f"{joined} {lines[at + size - 1].key}".strip()
        if len(joined) > _LONGEST:
            return None
        if size == 1 and _IN_A_LINE.match(joined) and _is_dated(joined):
            return Introduction(1, False, False)
        if not joined.endswith((":", "-")):
            continue
        if not _WROTE.search(joined) and not _DATE_FIRST.fullmatch(joined):
            continue
        marked = _marked_after(lines, at + size)
        if not marked and "@" not in joined and not _is_dated(joined):
            return None  # "On 12 November your agent wrote:" is a customer's story
        if _WHEN.search(joined) or (marked and _WHO_ONLY.fullmatch(joined)):
            return Introduction(size, marked, False)
        return None
    return None


def _is_dated(text: str) -> bool:
    return _YEAR.search(text) is not None and _TIME.search(text) is not None


def _marked_after(lines: list[Line], at: int) -> bool:
    following = _next_words(lines, at)
    return following is not None and is_marked(lines[following])


def _next_words(lines: list[Line], at: int) -> int | None:
    return next((each for each in range(at, min(at + 4, len(lines))) if not lines[each].blank), None)


def _is_block(lines: list[Line], at: int) -> bool:
    """Return whether a mail's headers begin here: a sender, a time, and a subject or the sender's address. "From: Tehran,
    To: Shiraz, Date: Monday" is a journey, and a block with "Message:" or "Phone:" is a web form."""
    first = _HEADER.match(lines[at].key)
    if first is None:
        return False
    names: set[str] = set()
    address = False
    for line in lines[at : at + _BLOCK]:
        if line.blank:
            continue
        if _FORM_FIELD.match(line.key):
            return False
        found = _HEADER.match(line.key)
        if found is None and names and not line.key.startswith(("<", '"')) and "@" not in line.key:
            break
        if found is not None and found.lastgroup is not None:
            names.add(found.lastgroup)
            address = address or (found.lastgroup == "sender" and "@" in line.key)
    return {"sender", "when"} <= names and (address or "subject" in names)
