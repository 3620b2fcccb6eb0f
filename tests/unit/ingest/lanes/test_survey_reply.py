"""Which messages are answers to a survey, and which are new contacts."""

import pytest

from services.ingest.domain.survey_reply import above_quote, parse_score


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
    ],
)
def test_a_score_is_recognised(text: str, kind: str, score: int) -> None:
    """In digits of three scripts, words, stars, keycaps, and as a share of the scale."""
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
    ],
)
def test_anything_else_is_not(text: str, kind: str) -> None:
    """Out of scale, ambiguous, or words beside it: then a person should read it."""
    assert parse_score(text, kind) is None


@pytest.mark.parametrize(
    "mail",
    [
        "5\r\n\r\nOn Mon, 3 Mar 2025, Support wrote:\r\n> How was it? (1 to 5)\r\n",
        "۵\n\nدر تاریخ دوشنبه ۳ مارس، پشتیبانی نوشت:\n> ۱ تا ۵\n",
        "five stars\n-- \nSara\n",
        "5",
    ],
)
def test_a_score_above_a_quoted_mail_is_found(mail: str) -> None:
    """Mail clients quote the question below the answer."""
    assert parse_score(above_quote(mail), "csat") == 5
