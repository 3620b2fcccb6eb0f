"""The texts of the survey pages, in Persian and English."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.policy.model.surveys import SurveyKind, primary
from services.policy.model.templates import PERSIAN_DIGITS

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one language. `ends`: the meaning of the lowest and the highest score."""

    lang: str
    dir: str
    name: str
    title: str
    comment: str
    send: str
    trap: str
    problem: str
    choose: str
    write: str
    too_long: str
    again: str
    optional: str
    skip: str
    until: str
    replaces: str
    replaces_for: str
    first_counts: str
    hours: str
    minutes: str
    change: str
    thanks: tuple[str, str]
    missing: tuple[str, str]
    scale: str
    ends: Mapping[SurveyKind, tuple[str, str]]

    def number(self, value: int) -> str:
        """Return a number in this language's digits."""
        return str(value).translate(PERSIAN_DIGITS) if self.lang == "fa" else str(value)

    def period(self, ms: int) -> str:
        """Return a length of time, in hours from two hours on."""
        unit, template = (_HOUR_MS, self.hours) if ms >= 2 * _HOUR_MS else (60_000, self.minutes)
        return template.format(self.number(max(1, ms // unit)))


FA: Final = Texts(
    lang="fa",
    dir="rtl",
    name="فارسی",
    title="نظر شما",
    comment="اگر توضیحی دارید، بنویسید",
    send="فرستادن پاسخ",
    trap="این خانه را خالی بگذارید",
    problem="پاسخ هنوز فرستاده نشده است:",
    choose="لطفاً یکی از گزینه‌ها را انتخاب کنید.",
    write="لطفاً پاسخ را بنویسید.",
    too_long="نوشته بیش از اندازه بلند است. لطفاً کوتاه‌ترش کنید.",
    again="پاسخ شما ثبت نشد. لطفاً کمی بعد دوباره بفرستید.",
    optional="اختیاری",
    skip="بی‌پاسخ",
    until="تا {} می‌توانید پاسخ دهید.",
    replaces="اگر پیش‌تر پاسخ داده‌اید، پاسخ تازه جای آن را می‌گیرد.",
    replaces_for="اگر پیش‌تر پاسخ داده‌اید، پاسخ تازه جای آن را می‌گیرد؛ این کار تا {} پس از نخستین پاسخ شدنی است.",
    first_counts="تنها نخستین پاسخ شما شمرده می‌شود.",
    hours="{} ساعت",
    minutes="{} دقیقه",
    change="تغییر پاسخ",
    thanks=("سپاسگزاریم", "پاسخ شما به ما رسید. می‌توانید این صفحه را ببندید."),
    missing=("صفحه پیدا نشد", "این پیوند معتبر نیست یا مهلت آن تمام شده است."),
    scale="{low} یعنی «{least}» و {high} یعنی «{most}».",
    ends=MappingProxyType(
        {
            SurveyKind.CSAT: ("خیلی ناراضی", "خیلی راضی"),
            SurveyKind.NPS: ("اصلاً", "حتماً"),
            SurveyKind.CES: ("کاملاً مخالفم", "کاملاً موافقم"),
        }
    ),
)
EN: Final = Texts(
    lang="en",
    dir="ltr",
    name="English",
    title="Your opinion",
    comment="Anything you would like to add",
    send="Send answer",
    trap="Leave this field empty",
    problem="Your answer has not been sent yet:",
    choose="Please choose one of the options.",
    write="Please write your answer.",
    too_long="This is too long. Please shorten it.",
    again="Your answer could not be saved. Please send it again in a moment.",
    optional="optional",
    skip="No answer",
    until="You can answer until {}.",
    replaces="If you have answered before, a new answer replaces the former one.",
    replaces_for="If you have answered before, a new answer replaces the former one, for {} after the first.",
    first_counts="Only your first answer counts.",
    hours="{} hours",
    minutes="{} min",
    change="Change your answer",
    thanks=("Thank you", "We have received your answer. You can close this page."),
    missing=("Page not found", "This link is not valid or has expired."),
    scale="{low} means “{least}”, {high} means “{most}”.",
    ends=MappingProxyType(
        {
            SurveyKind.CSAT: ("Very dissatisfied", "Very satisfied"),
            SurveyKind.NPS: ("Not at all likely", "Extremely likely"),
            SurveyKind.CES: ("Strongly disagree", "Strongly agree"),
        }
    ),
)


def texts_for(language: str) -> Texts:
    """Return Persian texts for Persian, English texts for all other languages."""
    return FA if primary(language) == "fa" else EN
