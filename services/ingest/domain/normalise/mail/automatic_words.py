"""Words by which machines' mails are known: the prefixes that programs put before a subject, and what notes and reports say.

Persons use the same words: "Auto: brake pads", "on holiday from Monday, please ship earlier". So a word decides only
together with a sign of a machine. Words that count without one: a subject about an absence above a text which is an
absence note and nothing else (`absence_notes`).

Prefixes of Exchange and Outlook are listed for the languages of neighbouring markets; texts in English and Persian.
"""

import re
from typing import Final

MAX_TEXT: Final = 4_000
"""The number of characters of a text that are searched."""

_AWAY_PREFIX: Final = re.compile(
    r"\s*(?:\[?auto(?:matic|mated)?[- ]?(?:reply|response|answer)\]?(?=\s*(?::|$|to\b|from\b))"
    r"|(?:out[- ]of[- ](?:the[- ])?office(?: auto-?reply| reply| alert)?|ooo|vacation (?:reply|message)"
    r"|away from (?:the )?office|automatische antwort|abwesenheitsnotiz|réponse automatique|respuesta automática"
    r"|risposta automatica|resposta automática|automatisch antwoord|otomatik (?:yanıt|cevap)|avtomatik cavab"
    r"|автоматический ответ|автоответ|(?:ال)?رد (?:ال)?تلقائي|自动答复|自動応答"
    r"|پاسخ ?(?:خودکار|اتوماتیک)|جواب ?(?:خودکار|اتوماتیک)|خارج از دفتر)\s*(?::|$))",
    re.IGNORECASE,
)
_NOTES_PREFIX: Final = re.compile(r"\s*auto: .{0,200}\bout of (?:the )?office\b", re.IGNORECASE)
_OF_ABSENCE: Final = re.compile(
    r"\s*(?:auto: |auto[- ]?(?:reply|response)|automatic (?:reply|response)|.{0,30}\bout[- ]of[- ](?:the[- ])?office\b"
    r"|.{0,20}\bon (?:vacation|holiday|annual leave|leave|sick leave|parental leave)\b|.{0,20}\baway (?:from|until)\b|absence\b"
    r"|(?:i am |i'm |i’m |i will be |i'll be |i’ll be |will be )?back (?:on|in|from)\b|مرخصی"
    r"|.{0,40}(?:پاسخ (?:خودکار|اتوماتیک)|خارج از دفتر|عدم حضور|در مرخصی|در سفر|در مأ?موریت"
    r"|در دسترس (?:نیستم|نخواهم بود)))",
    re.IGNORECASE,
)
_BOUNCED: Final = re.compile(
    r"\s*(undeliver|undelivered|delivery (status notification|failure|has failed|delayed|incomplete)|failure notice"
    r"|returned mail|mail delivery|message delivery|mail system error|warning: (message|could not)|non[- ]?delivery"
    r"|delivery (notification|status)$|delivery notification|غیر ?قابل تحویل|تحویل داده نشد|عدم تحویل|پیام تحویل نشد)"
    r"|.{0,200}(\bundeliverable\b|\bdelivery failure\b|\bbounce notification\b|systems bounce|退信|недоставлен|не доставлено)",
    re.IGNORECASE,
)
_COMPLAINT: Final = re.compile(r"complaint about message from [0-9a-f.:]{3,45}", re.IGNORECASE)
_RETURNED: Final = re.compile(
    r"undeliver|\b(?:not|n't|n’t) (?:be )?(?:deliver|sent\b)|\bdelivery (?:has )?(?:fail|error|problem)|\breturned (?:mail|to sender)"
    r"|\b(?:permanent|fatal) (?:fatal )?(?:delivery )?(?:error|fail)|\bmailbox (?:is )?(?:full|unavailable)"
    r"|\b(?:user|recipient|address|mailbox) (?:is )?(?:unknown|rejected|not found)"
    r"|\bunknown (?:user|recipient)|\bno such (?:user|address|mailbox)|\b(?:was|were|been) (?:rejected|refused|bounced)\b"
    r"|\bdid not reach\b|\bdoes not exist\b|\b(?:was|could)n[’']t be found\b|\berror (?:while )?sending\b"
    r"|(?:تحویل|ارسال) (?:داده )?ن(?:شد|گردید|می ?شود)|غیر ?قابل تحویل|عدم (?:امکان )?(?:تحویل|ارسال)|خطا در (?:تحویل|ارسال)"
    r"|وجود ندارد|صندوق[^\n.]{0,30} پر |недостав|не доставлен|退信|メールエラー|配信できません|送信できません",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"[^\s<>@\",;:()\[\]]{1,64}@[^\s<>@\",;:()\[\]]{1,255}")
_STATUS: Final = re.compile(r"(?<![\d.])[45]\.\d\.\d{1,3}(?![\d.])")
_SMTP: Final = re.compile(
    r"(?<![\d.])[45][0-7]\d[ -](?=.)[^\n]{0,120}(?:user|mailbox|recipient|relay|rejected|unknown|denied)"
    r"|\brcpt to\b|\bremote (?:host|server)[^\n]{0,80}said\b|^[> ]{0,4}(?:received: from |return-path: ?<|message-id: ?<)",
    re.IGNORECASE | re.MULTILINE,
)
_JOINERS: Final = str.maketrans({"‌": " ", "ي": "ی", "ك": "ک"})


def has_away_prefix(subject: str) -> bool:
    """Return whether a program's prefix of an automatic reply is the whole subject, or comes before ours."""
    subject = plain(subject)
    return _AWAY_PREFIX.match(subject) is not None or _NOTES_PREFIX.match(subject) is not None


def speaks_of_absence(subject: str) -> bool:
    """Return whether a subject begins with words about an absence, as persons write them too."""
    return _OF_ABSENCE.match(plain(subject)) is not None


def is_bounce_subject(subject: str) -> bool:
    """Return whether a subject is one of a delivery report. Persons write such subjects about parcels."""
    return _BOUNCED.match(plain(subject)) is not None


def is_complaint_subject(subject: str) -> bool:
    """Return whether a subject is the fixed one of Outlook.com's reports about spam (JMRP)."""
    return _COMPLAINT.fullmatch(subject.strip()) is not None


def reports_a_failure(subject: str, text: str) -> bool:
    """Return whether a mail says that something was not delivered, and names an address or a status code."""
    said = plain(text)
    if _RETURNED.search(said) is None and not is_bounce_subject(subject) and _RETURNED.search(plain(subject)) is None:
        return False
    return _ADDRESS.search(said) is not None or quotes_a_server(text)


def quotes_a_server(text: str) -> bool:
    """Return whether a text has a status code (RFC 3463), a line of an SMTP dialogue or the headers of a mail."""
    said = text[:MAX_TEXT]
    return _STATUS.search(said) is not None or _SMTP.search(said) is not None


def plain(text: str) -> str:
    """Return the searched text with one form of Persian letters, and spaces for joiners."""
    return text[:MAX_TEXT].translate(_JOINERS)
