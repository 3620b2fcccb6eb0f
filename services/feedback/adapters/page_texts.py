"""The words and the looks of the survey pages, in Persian and English."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.feedback.domain.survey import Kind, primary

_PERSIAN_DIGITS: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


@dataclass(frozen=True, slots=True)
class Texts:
    """One language. `ends`: what the lowest and the highest score mean."""

    lang: str
    dir: str
    name: str
    title: str
    comment: str
    send: str
    trap: str
    choose: str
    again: str
    thanks: tuple[str, str]
    missing: tuple[str, str]
    scale: str
    ends: Mapping[Kind, tuple[str, str]]

    def number(self, value: int) -> str:
        """A number in this language's digits."""
        return str(value).translate(_PERSIAN_DIGITS) if self.lang == "fa" else str(value)


FA: Final = Texts(
    lang="fa",
    dir="rtl",
    name="فارسی",
    title="نظر شما",
    comment="اگر توضیحی دارید، بنویسید (اختیاری)",
    send="فرستادن پاسخ",
    trap="این خانه را خالی بگذارید",
    choose="لطفاً یکی از گزینه‌ها را انتخاب کنید.",
    again="پاسخ شما ثبت نشد. لطفاً کمی بعد دوباره بفرستید.",
    thanks=("سپاسگزاریم", "پاسخ شما به ما رسید. می‌توانید این صفحه را ببندید."),
    missing=("صفحه پیدا نشد", "این پیوند معتبر نیست یا مهلت آن تمام شده است."),
    scale="{low} یعنی «{least}» و {high} یعنی «{most}».",
    ends=MappingProxyType(
        {
            Kind.CSAT: ("خیلی ناراضی", "خیلی راضی"),
            Kind.NPS: ("اصلاً", "حتماً"),
            Kind.CES: ("کاملاً مخالفم", "کاملاً موافقم"),
        }
    ),
)
EN: Final = Texts(
    lang="en",
    dir="ltr",
    name="English",
    title="Your opinion",
    comment="Anything you would like to add (optional)",
    send="Send answer",
    trap="Leave this field empty",
    choose="Please choose one of the options.",
    again="Your answer could not be saved. Please send it again in a moment.",
    thanks=("Thank you", "We have received your answer. You can close this page."),
    missing=("Page not found", "This link is not valid or has expired."),
    scale="{low} means “{least}”, {high} means “{most}”.",
    ends=MappingProxyType(
        {
            Kind.CSAT: ("Very dissatisfied", "Very satisfied"),
            Kind.NPS: ("Not at all likely", "Extremely likely"),
            Kind.CES: ("Strongly disagree", "Strongly agree"),
        }
    ),
)


def texts_for(language: str) -> Texts:
    """Persian for Persian, English for everybody else."""
    return FA if primary(language) == "fa" else EN


CSS: Final = """
:root{color-scheme:light dark;--ink:#1b1d22;--paper:#fff;--line:#6b7280;--accent:#0b5cad;--on:#fff;--warn:#a4161a}
@media (prefers-color-scheme:dark){:root{--ink:#f1f3f5;--paper:#16181d;--line:#9aa3af;--accent:#7cc0ff;--on:#10131a;--warn:#ff9c9c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.125rem/1.7 Vazirmatn,"Segoe UI",Tahoma,"Noto Sans Arabic",system-ui,sans-serif}
main{max-width:36rem;margin:0 auto;padding:1.5rem 1rem 3rem}
fieldset{border:0;margin:0;padding:0;min-width:0}
legend,h1{font-size:1.35rem;font-weight:700;line-height:1.5;margin:0 0 1rem;padding:0}
.scale{display:flex;flex-wrap:wrap;gap:.5rem}
.scale label{position:relative;flex:1 0 3rem}
.scale input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:pointer}
.scale span{display:flex;align-items:center;justify-content:center;min-height:3.25rem;border:2px solid var(--line);border-radius:.75rem;font-size:1.25rem}
.scale input:checked+span{background:var(--accent);border-color:var(--accent);color:var(--on);font-weight:700}
.scale input:focus-visible+span,button:focus-visible,textarea:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
.ends{display:flex;justify-content:space-between;gap:1rem;font-size:1rem;margin:.5rem 0 1.5rem}
.comment{display:block;margin-bottom:.5rem}
textarea{width:100%;padding:.75rem;border:2px solid var(--line);border-radius:.75rem;background:transparent;color:inherit;font:inherit}
button{display:block;width:100%;min-height:3.25rem;margin-top:1.25rem;border:0;border-radius:.75rem;background:var(--accent);color:var(--on);font:inherit;font-weight:700;cursor:pointer}
.problem{border-inline-start:4px solid var(--warn);color:var(--warn);padding-inline-start:.75rem;font-weight:700}
.other{text-align:center;margin-top:1.5rem}
.other a{display:inline-block;padding:.75rem;color:var(--accent)}
.unseen,.trap{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
"""  # noqa: E501 - a rule a line
