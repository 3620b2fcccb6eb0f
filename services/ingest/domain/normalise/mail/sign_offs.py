"""Recognises what a mail ends with: a mobile program's line, a sign-off with its contact block, a disclaimer.

A sign-off without a name ("Thanks!") is the customer's word, and so is one before more text. Only a sign-off with
a name or with ways to reach the sender is a signature.
"""

import re
from typing import Final

from services.ingest.domain.normalise.mail.text_lines import Line

_LONGEST_BLOCK: Final = 12
_LONGEST_LINE: Final = 90
_LONGEST_MOBILE: Final = 200
_DELIMITER: Final = re.compile(r"--|—|––|__")
_DEVICES: Final = (
    r"i-?phone|i-?pad|i-?pod|android|samsung|galaxy|huawei|xiaomi|redmi|nokia|htc|sony|xperia|blackberry|"
    r"outlook|gmail|yahoo|aol|mail for windows|thunderbird|spark|proton\s?mail|tutanota|hotmail|"
    r"ا?یفون|ا?یپد|اندروید|سامسونگ|گلکسی|هواوی|شیایومی|نوکیا|موبایل|گوشی|تلفن همراه|تبلت|دستگاه|اوت\s?لوک|جیمیل|یاهو|ای پد|ای فون"
)
_OWN: Final = r"(?:my|a)\s(?:.{0,30}\s)?(?:phone|mobile|smartphone|handset|tablet|device|mail)"
"""A word such as "phone" names a device only after "my": "Sent by mail on Monday" is a customer's sentence."""
_MOBILE: Final = re.compile(
    rf"(?:[-–_*]{{1,3}}\s?)?(?:(?:sent|sent securely)\s(?:from|via|with|using)\s(?:(?:.{{0,40}}\b)?(?:{_DEVICES})|{_OWN})\b.{{0,50}}|"
    rf"get\s(?:outlook|bluemail)\sfor\s[^<]{{1,30}}|(?:envoyé|enviado|inviato|gesendet|von meinem)\s.{{0,30}}(?:{_DEVICES})\b.{{0,20}}|"
    rf"(?:ارسال|فرستاده)\s?شده\s?(?:از|با|توسط|به\sوسیله)\s?.{{0,40}}(?:{_DEVICES}).{{0,40}}|"
    rf"(?:{_DEVICES})\s(?:من\s)?(?:ارسال|فرستاده)\sشد(?:ه است)?\.?|"
    rf"از\s(?:.{{0,20}}\s)?(?:{_DEVICES})(?:\s.{{0,20}})?\s(?:ارسال|فرستاده)\s?شد(?:ه(?: است)?)?\.?)(?:\s?<\S{{1,200}}>)?",
    re.IGNORECASE,
)
_FORMAL: Final = re.compile(
    r"(?:(?:with\s)?(?:my\s)?(?:(?:best|kind|kindest|warm|warmest|sincere|many)\s)(?:and\s\w{1,10}\s)?(?:regards|"
    r"wishes)|regards|rgds|br|kr|best|(?:yours\s)?(?:sincerely|faithfully|truly)(?:\syours)?|"
    r"yours|respectfully(?:\syours)?|cordially|cheers|all the best|"
    r"(?:با\s)?(?:نهایت\s|کمال\s)?(?:احترام|تقدیم احترام)(?:\sو\s(?:تشکر|سپاس|ادب))?(?:\sفراوان)?|"
    r"(?:با\s)?ارادت(?:مند)?(?:\sشما)?|با\sتقدیم\s(?:احترام|سلام)|"
    r"(?:با\s)?(?:تشکر|سپاس)\sو\s(?:احترام|ادب|ارادت)|با\sارزوی\s(?:موفقیت|بهترین ها|سلامتی).{0,20}|"
    r"دوستدار(?:\sشما)?|مخلص(?:\sشما)?)[\s,،.!]{0,4}",
    re.IGNORECASE,
)
_THANKS: Final = re.compile(
    r"(?:(?:many\s|with\s)?thanks(?:\s(?:a lot|again|in advance|so much|and\s(?:best\s|kind\s)?regards|"
    r"&\sregards))?|thank you(?:\s(?:very much|so much|in advance|again|and\s(?:best\s|kind\s)?regards))?|thx|"
    r"(?:با\s)?(?:تشکر|سپاس|قدردانی)(?:\s(?:فراوان|از شما|از همکاری شما|از توجه شما|قبلی|بسیار))?|"
    r"(?:خیلی\s)?(?:ممنون|متشکرم?|مرسی|سپاسگزارم?)(?:\s(?:از شما|از لطف شما))?)[\s,،.!]{0,4}",
    re.IGNORECASE,
)
_CONTACT: Final = re.compile(
    r"[tmfpew]\s?[:|]|(?:tel|phone|mobile|cell|fax|office|direct|e-?mail|web|website|address|whatsapp|telegram|"
    r"instagram|linkedin|تلفن(?:\sهمراه)?|تلفکس|موبایل|همراه|فکس|نمابر|دورنگار|ا?یمیل|پست الکترونیک|وب\s?سایت|سایت|"
    r"ادرس|نشانی|داخلی|واتساپ|تلگرام|شماره تماس|کد پستی)\s{0,3}[:.|]|"
    r"(?:https?://|www\.)\S{1,200}$|<?[^\s@<>]{1,64}@[^\s@<>]{2,200}>?$|\+?\(?[0-9][0-9()\s./-]{6,25}$",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(
    r"\b(?:manager|director|engineer|officer|assistant|head of|ceo|cto|cfo|coo|sales|accountant|accounting|"
    r"department|dept|company|co\.|ltd|llc|inc|gmbh|corp|team|specialist|consultant|lead|buyer|purchasing|secretary|"
    r"university|"
    r"professor|dr|phd)\b|مدیر|کارشناس|شرکت|واحد|بخش|دفتر|مهندس|دکتر|رئیس|رییس|ریس|معاون|مسوول|مسیول|حسابدار|"
    r"دانشگاه|فروش|بازرگانی|موسسه|سازمان|گروه|تدارکات|مشاور",
    re.IGNORECASE,
)
_NOT_A_NAME: Final = re.compile(
    r"[?؟!]|\b(?:please|order|cancel|refund|when|what|why|how|is|are|was|will|can|could|do|does|not|i|we|you|my|"
    r"your|the|(?-i:[Ii]t)|this|that|for|ps|p\.s|also|help|waiting|asap|urgent|hello|hi|dear)\b|"
    r"\b(?:لطفا|سفارش|لغو|کنید|کنم|است|نیست|شد|شده|شود|می|من|ما|شما|را|که|این|چرا|کی|چطور|ندارد|دارد|دارم|نشد|هست|"
    r"سلام|منتظر|پیگیری|فوری|ضمنا|ارسال|فاکتور|مرجوع|قیمت|پول|تحویل|مشکل|خراب|بسته|کالا|شماره سفارش|هنوز|بدهید|بفرمایید|بزنید|خواهشمند|پ\.?ن)\b",
    re.IGNORECASE,
)
_NAME: Final = re.compile(
    r"(?:[A-Z][\w.'-]{0,20}|[A-Z]\.)(?:\s(?:[A-Z][\w.'-]{0,20}|[A-Z]\.|de|van|von|bin|al)){0,4},?|"
    r"[\u0621-\u06cc]{2,15}(?:\s[\u0621-\u06cc]{1,15}){0,4}|[a-z]{2,15}"
)
_NO_READER: Final = r"(?:نیستید|نمیباشید|نمی باشید|نبودید)"
_DISCLAIMER: Final = re.compile(
    r"[\[*(]{0,2}(?:(?:this|the)\s(?:e-?mail|message|communication|transmission).{0,120}\b(?:confidential|privileged|"
    r"intended\s(?:only|solely|exclusively|for the (?:sole|use|named|addressee|recipient))|originated (?:from )?outside|"
    r"sent from outside|scanned (?:by|for)|addressees?\b)|"
    r"the information (?:contained|transmitted) .{0,60}(?:e-?mail|message|communication|transmission|attachment)|"
    r"(?:legal\s)?(?:confidentiality|privacy|legal|disclaimer)\s(?:notice|note|statement)\s?(?:[:\-—]|$)|disclaimer\s?(?:[:\-—]|$)|"
    r"if you are not the intended|(?:if you )?have received this .{0,40}(?:in error|by mistake)|"
    r"please consider the environment|think\s.{0,30}before (?:printing|you print)|"
    r"virus-?free\b|(?:external\W{1,4})?(?:caution|warning|notice)\s?[\]:\-!]{1,3}.{0,60}(?:outside (?:of )?(?:the|your|our)|originat|"
    r"external (?:e-?mail|sender|source))|"
    r"you don't often get email from|(?:scanned|checked) (?:by|for|with) .{0,40}(?:gateway|virus|avast|avg|eset|kaspersky|sophos|mimecast)|"
    r"(?:این|محتوای این|متن این|اطلاعات (?:موجود در )?این|مفاد این)\s(?:ا?یمیل|پیام|نامه|رایانامه|پست الکترونیک).{0,120}"
    r"(?:محرمانه|گیرنده|مخاطب|انتی\s?ویروس)|سلب مسیولیت|اعلامیه محرمانگی|"
    r"(?:لطفا\s)?(?:پیش|قبل) از (?:چاپ|پرینت).{0,80}(?:محیط زیست|طبیعت|درختان)|"
    rf"(?:اگر|در صورتی که) (?:گیرنده|مخاطب)(?: اصلی)? .{{0,80}}{_NO_READER})|"
    r"[\[*(]{1,2}external(?: e-?mail| sender)?[\])*]",
    re.IGNORECASE,
)


def is_mobile_line(line: Line) -> bool:
    """Return whether a mail program added this line: "Sent from my iPhone", «ارسال شده از گوشی سامسونگ»."""
    return len(line.key) <= _LONGEST_MOBILE and _MOBILE.fullmatch(line.key) is not None


def is_disclaimer(line: Line) -> bool:
    """Return whether a disclaimer or a gateway's notice begins with this line."""
    return _DISCLAIMER.match(line.key) is not None


def sign_off(lines: list[Line]) -> int:
    """Return the index of the line at which the signature begins; the number of lines when there is none.

    The lines are a run of new text whose last line is not blank. Examines the end of it only.
    """
    words = 0
    first = len(lines)
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at]
        if line.blank:
            continue
        if _DELIMITER.fullmatch(line.key):
            sure = line.raw.rstrip("\r\n") == "-- " or all(
                _fits(each, formal=True) for each in lines[at + 1 :] if not each.blank
            )
            return at if words and sure else len(lines)
        if words >= _LONGEST_BLOCK or len(line.key) > _LONGEST_LINE:
            break
        words += 1
        first = at
    for at in range(first, len(lines)):
        if _begins(lines, at) and (at > 0 or _has_contact(lines[1:])):
            return at
    return len(lines)


def _begins(lines: list[Line], at: int) -> bool:
    block = [line for line in lines[at + 1 :] if not line.blank]
    key = lines[at].key
    if _FORMAL.fullmatch(key):
        return bool(block) and all(_fits(line, formal=True) for line in block)
    if _THANKS.fullmatch(key):
        return bool(block) and all(_fits(line, formal=False) for line in block)
    starts_paragraph = at > 0 and lines[at - 1].blank
    if (
        not starts_paragraph
        or not _is_name(key)
        or lines[at - 1 if not lines[at - 1].blank else at - 2].key.endswith(":")
    ):
        return False
    contacts = sum(_CONTACT.match(line.key) is not None for line in block)
    titles = sum(_TITLE.search(line.key) is not None for line in block)
    return contacts >= 1 and contacts + titles >= 2 and all(_fits(line, formal=True) for line in block)


def _fits(line: Line, *, formal: bool) -> bool:
    """Return whether the line can be one of a signature's: a name, a title, a way to reach the sender."""
    key = line.key
    if _CONTACT.match(key):
        return True
    if _NOT_A_NAME.search(key):
        return False
    if _is_name(key) or _TITLE.search(key):
        return True
    return formal and not key.endswith((".", ":", "؛"))


def _is_name(key: str) -> bool:
    return _NAME.fullmatch(key) is not None and not _NOT_A_NAME.search(key)


def _has_contact(lines: list[Line]) -> bool:
    return any(_CONTACT.match(line.key) for line in lines)
