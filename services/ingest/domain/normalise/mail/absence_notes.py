"""Whether a text is an absence note and nothing else.

Persons write about their absence too, and ask for something: "I am on holiday next week, please deliver earlier". So each
clause of a note must be one that notes consist of: a greeting, the absence, what happens to mail, whom to ask instead, a
sign-off. One clause of another kind makes the text a person's. Notes neither ask questions nor quote.

English and Persian only. A note that is missed opens an interaction, and no words are lost.
"""

import re
from typing import Final

from services.ingest.domain.normalise.mail.automatic_words import plain

_LONGEST: Final = 1_200
_OF_PERSONS: Final = frozenset('?؟"«»“”„>')
_CLAUSE_ENDS: Final = re.compile(
    r"[!;:,،؛\n\r]|\.(?=\s|$)|\b(?:please|kindly|and|but|so|with(?= (?:limited|no)\b))\b"
    r"|(?:^|(?<=\s))(?:لطفا|لطفاً|و|ولی|اما|خواهشمند است)(?=\s|$)",
    re.IGNORECASE,
)
_ABSENT: Final = re.compile(
    r"^(?:(?:unfortunately|currently|at the moment|note that|from [^\n]{3,30}?) )?"
    r"(?:i am|i'm|i’m|i will be|i'll be|i’ll be|we are|we will be) (?:currently |presently |now )?"
    r"(?:out of (?:the )?office|away|on (?:annual |sick |maternity |parental )?leave|on (?:vacation|holiday)|travell?ing"
    r"|not available|unavailable)\b"
    r"|^(?:our|the) (?:office|shop|company) is closed\b"
    r"|(?:در|به) مرخصی (?:هستم|می ?باشم|به ?سر|رفته)|در سفر هستم|در مأ?موریت هستم|در دفتر (?:نیستم|حضور ندارم)"
    r"|در (?:دسترس|محل کار) (?:نیستم|نخواهم بود)|(?:دفتر|شرکت) (?:ما )?[^\n]{0,30}تعطیل است|حضور (?:ندارم|نخواهم داشت)",
    re.IGNORECASE,
)
_OF_MAIL: Final = re.compile(
    r"^(?:i )?(?:cannot|can't|can’t|am not able to|am unable to|won't|will not) (?:read|check|answer|reply|respond|access)\b"
    r"|^(?:i have |having |have )?(?:limited|no) access to (?:my )?(?:e-?mails?|mail)\b"
    r"|^(?:i |we )?(?:will|shall|'ll|’ll) (?:answer|reply|respond|get back to you|read|return|be back)\b"
    r"|^i(?:'ll|’ll) (?:answer|reply|respond|get back to you|read|return|be back)\b"
    r"|^(?:this is|note that this is) an? automat(?:ic|ed)\b"
    r"|(?:پاسخ|جواب) (?:خواهم|می ?دهم|خواهیم|می ?دهیم)|باز ?(?:می|خواهم) ?گ(?:ردم|شت)|برمی ?گردم|برخواهم گشت"
    r"|(?:ایمیل|نامه|پیام)[^\n]{0,20} (?:نمی ?بینم|نمی ?خوانم|دسترسی ندارم)|دسترسی (?:به ایمیل )?ندارم"
    r"|(?:پیام|پاسخ|ایمیل)[^\n]{0,20} خودکار (?:است|می ?باشد)",
    re.IGNORECASE,
)
_OTHERS: Final = re.compile(
    r"^(?:in|for) (?:an? )?(?:urgent|emergency|emergencies)\b|^(?:if (?:it is|it's|this is) )?urgent\b"
    r"|^(?:contact|call|write to|reach|e-?mail|turn to) (?!me\b|us\b|my mobile)\S"
    r"|(?:موارد|کارهای|امور) (?:ضروری|فوری)|^با (?!من |ما |اینجانب |بنده )[^\n]{1,60} تماس (?:بگیرید|حاصل)",
    re.IGNORECASE,
)
_COURTESY: Final = re.compile(
    r"(?:hi|hello|dear|greetings|good (?:morning|day|afternoon))(?: [^\W\d]{1,20}){0,2}"
    r"|thank(?:s| you)(?: for (?:your|the) (?:e-?mail|mail|message|letter|understanding|patience))?"
    r"|(?:(?:best|kind|warm) )?regards|(?:با )?(?:سلام|درود|تشکر|سپاس|احترام|عرض (?:سلام|ادب))|وقت (?:شما )?بخیر"
    r"|سپاسگزارم|ارادتمند|(?:از )?(?:پیام|ایمیل|نامه) شما (?:سپاسگزارم|متشکرم)",
    re.IGNORECASE,
)
_KINDS: Final = (_ABSENT, _OF_MAIL, _OTHERS)


def is_absence_note(new_text: str) -> bool:
    """Return whether a text says that its writer is away and what happens to mail, and nothing else."""
    if len(new_text) > _LONGEST or not _OF_PERSONS.isdisjoint(new_text):
        return False
    found: set[re.Pattern[str]] = set()
    for clause in _CLAUSE_ENDS.split(plain(new_text)):
        said = clause.strip()
        if not said or _COURTESY.fullmatch(said):
            continue
        kind = next((each for each in _KINDS if each.search(said)), None)
        if kind is None:
            return False
        found.add(kind)
    return _ABSENT in found and len(found) > 1
