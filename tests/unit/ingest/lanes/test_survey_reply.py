"""Which messages are answers to a survey, and which are new contacts."""

import time

import pytest

from services.ingest.domain.survey_reply import beside_quote, parse_score


@pytest.mark.parametrize(
    ("text", "kind", "score"),
    [
        ("5", "csat", 5),
        ("۵", "csat", 5),
        ("٤", "csat", 4),
        (" 5 ", "csat", 5),
        ("5!", "csat", 5),
        ("5/5", "csat", 5),
        ("۴ از ۵", "csat", 4),
        ("4 out of 5", "csat", 4),
        ("five stars", "csat", 5),
        ("Five", "csat", 5),
        ("پنج ستاره", "csat", 5),
        ("پنج", "csat", 5),
        ("نمره ۳", "csat", 3),
        ("⭐⭐⭐⭐⭐", "csat", 5),
        ("⭐️ ⭐️ ⭐️", "csat", 3),
        ("4️⃣", "csat", 4),
        ("0", "nps", 0),
        ("10", "nps", 10),
        ("🔟", "nps", 10),
        ("۱۰/۱۰", "nps", 10),
        ("7", "ces", 7),
        ("👍", "csat", 5),
        ("👍🏽", "csat", 5),
        ("👍 👍👍", "csat", 5),
        ("👎\ufe0f", "csat", 1),
    ],
)
def test_a_score_is_recognised(text: str, kind: str, score: int) -> None:
    """In digits of three scripts, words, stars, keycaps, and as a fraction of the scale."""
    assert parse_score(text, kind) == score


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "csat"),
        ("hello", "csat"),
        ("5 of my parcels are missing", "csat"),
        ("6", "csat"),
        ("0", "csat"),
        ("-5", "csat"),
        ("4/10", "csat"),
        ("5 5", "csat"),
        ("4.5", "csat"),
        ("⭐⭐⭐⭐⭐⭐", "csat"),
        ("⭐⭐⭐", "nps"),
        ("11", "nps"),
        ("8", "ces"),
        ("نه", "nps"),
        ("55555555555555555555555555555555555555555", "csat"),
        ("5", "unknown"),
        ("سلام ۵", "csat"),
        ("2023", "nps"),
        ("👍", "nps"),
        ("👎", "ces"),
        ("👍👎", "csat"),
        ("👍" * 6, "csat"),
        ("👍 but slow", "csat"),
        ("❤️", "csat"),
        ("😀", "csat"),
        ("5", "text"),
    ],
)
def test_any_other_text_is_not_a_score(text: str, kind: str) -> None:
    """Out of scale, ambiguous, or with other words: an agent should read it."""
    assert parse_score(text, kind) is None


@pytest.mark.parametrize(
    "mail",
    [
        "5\r\n\r\nOn Mon, 3 Mar 2025, Support wrote:\r\n> How was it? (1 to 5)\r\n",
        "۵\n\nدر تاریخ دوشنبه ۳ مارس، پشتیبانی نوشت:\n> ۱ تا ۵\n",
        "five stars\n-- \nSara\n",
        "5\n\nOn Mon, 3 Mar 2025 at 10:00, Parsa Support\n<support@parsa.example> wrote:\n\n> How was it?\n",
        "۵\n\nدر دوشنبه ۳ مارس ۲۰۲۵، پشتیبانی پارسا\n<support@parsa.example> نوشته است:\n> چطور بود؟",
        "5\n\nGet Outlook for iOS\n________________________________\nFrom: Support <a@b>\nSent: Monday\n",
        "5\nفرستاده شده از آیفون من\n",
        "> How was it? (1 to 5)\n> https://ask.example/s/x\n\n5\n",
        "On Mon, Support wrote:\n> How was it?\n>\n> 1 to 5\n5\n-- \nSara\n",
        "5",
    ],
)
def test_a_score_above_a_quoted_mail_is_found(mail: str) -> None:
    """Mail clients quote the question below the answer."""
    assert parse_score(beside_quote(mail), "csat") == 5


@pytest.mark.parametrize(
    "mail", ["> 5", "On Mon, Support wrote:\n> 5\n", "Not good.\n\n> 5\n", "", "> 1\n2\n> 3\n\nno"]
)
def test_a_score_in_the_quoted_mail_does_not_count(mail: str) -> None:
    """The quoted text is ours, not the customer's."""
    assert parse_score(beside_quote(mail), "csat") is None


def test_a_mail_of_many_or_long_lines_is_searched_fast() -> None:
    """Mails made to slow down regular expressions are searched in bounded pieces."""
    began = time.perf_counter()
    for mail in ("On wrote: " * 100_000, ("On " + "wrote:  " * 2000 + "\n") * 500, "در " * 100_000, "\n" * 1_000_000):
        beside_quote(mail)
    assert time.perf_counter() - began < 2
