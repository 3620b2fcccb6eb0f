"""Which messages are a thank-you or a farewell and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar.config.v1 import config_pb2 as config
from services.policy.findings import Findings
from services.policy.model.closing_words import BUILT_IN, EMOJI, EVERYWHERE, MOST_CHARS, ClosingWords
from services.policy.reading.closing_words import read_closing_words

CLOSING = [
    "thank you!", "Thanks a lot 🙏", "THANKS!!!", "thankssss", "ok, thank you very much.", "bye", "No, thanks", "you're the best ❤️",
    "مرسی", "مرسي", "مرسييييي", "ممنون", "ممنونم از راهنماییتون", "خیلی ممنون 🌹🌹", "سپاس‌گزارم", "سپاسگزارم", "دستتون درد نكنه 🙏",
    "خدا حافظ", "باشه ممنون", "تشکر می‌کنم", "تشکر می کنم", "👍", "👍🏽👍🏽", "❤️", "thank you ممنون",
]  # fmt: skip
WORK = [
    "", ".", "?", "thank you?", "ممنون؟", "thank you, but it still fails", "thanks for nothing", "ok", "yes", "باشه", "بله", "👎", "😡 thanks",
    "thanks 🤬", "با تشکر، سفارش من نرسید", "ممنون، شماره پیگیری ۱۲۳", "5", "۵", "👍 5", "https://example.com thanks", "thank",
    "مرسی کی میرسه", "call me, thanks",
]  # fmt: skip


@pytest.mark.parametrize("text", CLOSING)
def test_a_message_of_closing_words_only(text: str) -> None:
    """In both languages, with both yeh and kaf, half-spaces, repeated letters, signs and skin tones."""
    assert EVERYWHERE.only(text)


@pytest.mark.parametrize("text", WORK)
def test_a_message_that_says_anything_else_is_work(text: str) -> None:
    """A question, a complaint, a score, a number, a word that may answer a question, a sign that is not friendly."""
    assert not EVERYWHERE.only(text)


def configured(**rule: object) -> ClosingWords:
    findings = Findings()
    tenant = config.TenantConfiguration(tenant="parsa", closing_words=config.ClosingWords(**rule))  # type: ignore[arg-type]
    return read_closing_words(tenant, findings)


def phrases(*words: str) -> config.ClosingPhrases:
    return config.ClosingPhrases(any=words)


def test_a_tenant_lists_words_of_a_language_and_the_others_stay() -> None:
    """English is the tenant's, Persian and the signs are built in. Digits of all scripts are equal."""
    own = configured(words={"en": phrases("merci", "code 20")})
    assert own.only("merci")
    assert own.only("Code ۲۰")
    assert own.only("مرسی")
    assert own.only("👍")
    assert not own.only("thank you")
    assert not own.only("code 2")
    none = configured(words={EMOJI: phrases()})
    assert none.only("thanks")
    assert not none.only("👍")
    assert not none.only("thanks 👍")


def test_a_tenant_can_have_closing_words_as_work() -> None:
    """Then no message is of closing words."""
    assert not any(configured(work=True).only(text) for text in CLOSING)


def test_the_time_and_the_bounds() -> None:
    """A day if nothing is configured; a negative time and lists that are too long are findings."""
    assert configured().within_ms == 24 * 3_600_000
    assert configured(within_ms=5_000).within_ms == 5_000
    findings = Findings()
    rule = config.ClosingWords(within_ms=-1, words={"en": phrases("x" * 61, *["a"] * 200)})
    read_closing_words(config.TenantConfiguration(closing_words=rule), findings)
    assert sorted(each.code for each in findings.found) == ["OUT_OF_RANGE", "TOO_LONG", "TOO_MANY"]


PIECES = st.sampled_from([*BUILT_IN["en"], *BUILT_IN["fa"], *BUILT_IN[EMOJI]])


@given(st.lists(PIECES, min_size=1, max_size=4), st.sampled_from([" ", "، ", "! ", "\n", "  "]))
def test_closing_words_in_any_order_are_closing_words(words: list[str], between: str) -> None:
    """With any separator between them."""
    text = between.join(words)
    assert EVERYWHERE.only(text) or len(text) > MOST_CHARS


@given(
    st.lists(PIECES, max_size=3),
    st.sampled_from(["order", "سفارش", "7", "?", "💣", "not", "ولی"]),
    st.lists(PIECES, max_size=3),
)
def test_one_other_word_makes_it_work(before: list[str], other: str, after: list[str]) -> None:
    """At the beginning, in the middle, or at the end."""
    assert not EVERYWHERE.only(" ".join([*before, other, *after]))
