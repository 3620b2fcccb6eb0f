"""Rules, duplicates, splitting, texts, tokens: the small pure parts of intake and sending."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.domain import reply_token
from services.ingest.domain.account_breaker import AccountBreaker
from services.ingest.domain.acknowledgement import acknowledgement
from services.ingest.domain.channel_rules import ChannelRules, parts_of
from services.ingest.domain.deliveries import Outcome, SenderLimits
from services.ingest.domain.retry_classes import telegram, whatsapp
from services.ingest.domain.rules import choose
from services.ingest.domain.seen import CHUNK_IDS, Chunk, SeenIds
from services.ingest.domain.sending import backoff_ms
from services.policy.model.intake import DAY_MS
from services.policy.model.rules import Rule, RuleInput
from tests.unit.ingest.lanes.builders import NOW, never

GIVEN = RuleInput(
    channel="webchat", account="site", language="en", text="", text_length=0, person={}, labels={"a": "1"}, public=False
)


def test_the_first_rule_that_holds_decides_and_failures_are_named() -> None:
    """A failing condition and an unknown queue are skipped."""
    rules = (
        Rule("bad", "fails", "general"),
        Rule("lost", "yes", "nowhere"),
        Rule("no", "no", "general"),
        Rule("good", "yes", "sales", priority=4, labels={"b": "2"}),
        Rule("late", "", "general"),
    )
    choice = choose(rules, {"general": "main", "sales": "shop"}, never, GIVEN, {"a"})
    assert choice is not None
    assert (choice.rule, choice.queue, choice.pool, choice.priority) == ("good", "sales", "shop", 4)
    assert choice.failed == ("bad", "lost")
    assert choice.labels == {"a": "1", "b": "2"}


def test_without_a_rule_the_first_queue_gets_the_interaction() -> None:
    """The reason is named, so that it can be counted."""
    choice = choose((), {"general": "main"}, never, GIVEN)
    assert choice is not None
    assert (choice.queue, choice.reason) == ("general", "NO_RULE_MATCHED")
    assert choose((), {}, never, GIVEN) is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, DAY_MS), st.booleans()), max_size=200), st.randoms())
def test_an_id_is_known_for_the_whole_window(arrivals: list[tuple[int, int, bool]], chance: Random) -> None:
    """However ids and pauses mix, also across a restore and while packed, no id is forgotten within the window, and no id
    is known that did not come."""
    seen, now = SeenIds(7 * DAY_MS, 10_000), NOW
    last: dict[str, int] = {}
    chunks: dict[int, Chunk] = {}
    for number, pause, packs in arrivals:
        now += pause
        if packs:
            packed = seen.packed()
            seen = SeenIds(7 * DAY_MS, 10_000)
            seen.unpack(packed)
        for gone in seen.evict(now):
            del chunks[gone]
        message_id = f"m{number}"
        if message_id not in seen:
            chunk, _ = seen.add(message_id, now)
            chunks[chunk.number] = chunk
            last[message_id] = now
        restored = SeenIds(7 * DAY_MS, 10_000)
        for chunk in chance.sample(list(chunks.values()), len(chunks)):
            restored.load(chunk)
        assert restored.numbers() == seen.numbers() == sorted(chunks)
        for known, at in last.items():
            if at + 7 * DAY_MS > now:
                assert known in seen
                assert known in restored
        assert all(f"m{other}" in last or f"m{other}" not in seen for other in range(301))


def test_packed_ids_need_eight_bytes_each() -> None:
    """A conversation of a day with ten pauses has one head of ten bytes."""
    seen = SeenIds(7 * DAY_MS, 10_000)
    for number in range(10):
        seen.add(str(number), NOW + number * 60_000)
        packed = seen.packed()
        seen.unpack(packed)
    assert len(packed) == 1 + 10 + 10 * 8
    assert seen.numbers() == list(range(10))
    assert seen.evict(NOW + 7 * DAY_MS) == []
    assert seen.evict(NOW + 7 * DAY_MS + 600_000) == list(range(10))


def test_packed_times_are_never_too_early() -> None:
    """They are rounded up to seconds."""
    seen = SeenIds(7 * DAY_MS, 10_000)
    seen.add("1", NOW + 1)
    seen.unpack(seen.packed())
    assert seen.evict(NOW + 7 * DAY_MS) == []
    assert seen.evict(NOW + 7 * DAY_MS + 1_000) == [0]


def test_chunks_that_are_restored_one_by_one_are_all_dropped_in_the_end() -> None:
    """A changelog may have a later chunk before an earlier one, and the identity may be packed in between."""
    seen = SeenIds(7 * DAY_MS, 10_000)
    for number, numbers in ((0, [0]), (2, [0, 2]), (1, [0, 1, 2])):
        seen.load(Chunk(number, NOW, [f"m{number}"]))
        seen.unpack(seen.packed())
        assert seen.numbers() == numbers
    assert all(f"m{number}" in seen for number in range(3))
    assert seen.evict(NOW + 7 * DAY_MS) == [0, 1, 2]


def test_a_part_of_two_digests_is_not_an_id() -> None:
    """Digests are compared at their own places."""
    seen = SeenIds(7 * DAY_MS, 10_000)
    for number in range(2_000):
        seen.add(str(number), NOW)
    packed = bytes(seen._digests)
    seen._digests = bytearray(packed[4:-4])
    assert not any(str(number) in seen for number in range(2_000))


def test_an_identity_with_very_many_ids_is_packed_too() -> None:
    """Its number of chunks does not fit into one byte."""
    seen = SeenIds(7 * DAY_MS, 50_000)
    for number in range(300 * CHUNK_IDS):
        seen.add(str(number), NOW)
    again = SeenIds(7 * DAY_MS, 50_000)
    again.unpack(seen.packed())
    assert len(again) == 300 * CHUNK_IDS
    assert again.numbers() == list(range(300))
    assert "0" in again
    assert str(300 * CHUNK_IDS - 1) in again


def test_a_busy_identity_changes_one_small_chunk_a_message() -> None:
    """So the changelog grows by a small chunk, not by the identity's whole past."""
    seen = SeenIds(7 * DAY_MS, 100_000)
    for number in range(1_000):
        chunk, _ = seen.add(str(number), NOW)
        assert len(chunk.ids) <= CHUNK_IDS
    assert seen.evict(NOW + 7 * DAY_MS - 1) == []
    assert len(seen.evict(NOW + 7 * DAY_MS)) == -(-1_000 // CHUNK_IDS)
    assert "1" not in seen


@settings(max_examples=60)
@given(st.text(max_size=400), st.integers(5, 50))
def test_a_split_text_loses_nothing_but_white_space(text: str, most: int) -> None:
    """Each part fits as the providers count (UTF-16), and joined they are the text."""
    parts = parts_of(text, most)
    assert all(len(part.encode("utf-16-le", "surrogatepass")) // 2 <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_long_text_breaks_at_a_line_or_a_space() -> None:
    """Not within a word."""
    assert parts_of("aaaa bbbb cccc", 10) == ("aaaa bbbb", "cccc")
    assert parts_of("aaaa\r\nbbbb cc", 10) == ("aaaa\r", "bbbb cc")
    assert parts_of("short", 4096) == ("short",)
    assert [len(p) for p in parts_of("x" * 9000, 4096)] == [4096, 4096, 808]


@pytest.mark.parametrize(
    "cluster",
    [
        "👨‍👩‍👧‍👦",  # a family: four people and three joiners
        "👩🏽‍🚒",  # a skin tone and a joiner
        "🏴󠁧󠁢󠁳󠁣󠁴󠁿",  # the flag of Scotland, spelt with tags
        "🇮🇷",
        "❤️‍🔥",
        "1️⃣",
        "بِّ",  # a letter with two marks
        "ی\u200c",  # a half-space belongs to the letter before it
        "ẹ́",
        "각",
        "한",
    ],
)
def test_a_part_never_ends_within_what_a_reader_sees_as_one_character(cluster: str) -> None:
    """Whatever the limit is, and whatever stands before it."""
    for shift in range(6):
        text = "x" * shift + cluster * 40
        for most in range(24, 40):
            parts = parts_of(text, most)
            assert "".join(parts) == text
            assert all(len(part.lstrip("x")) % len(cluster) == 0 for part in parts)
            assert all(len(part.encode("utf-16-le")) // 2 <= most for part in parts)


def test_flags_are_cut_in_pairs_and_a_mark_after_a_space_stays_with_it() -> None:
    """Three flags in a row are six letters. A run without any place to cut is cut all the same."""
    assert parts_of("🇮🇷🇩🇪🇫🇷", 10) == ("🇮🇷🇩🇪", "🇫🇷")
    assert parts_of("aaaaaa \u0301bbbbbb", 10) == ("aaaaaa \u0301bb", "bbbb")
    assert [len(part) for part in parts_of("a" + "\u0301" * 300, 160)] == [160, 141]


def test_the_acknowledgement_speaks_the_customers_language_and_digits() -> None:
    """Persian digits in Persian; minutes rounded up; the operator's text before ours; braces are not evaluated."""
    own = {"acknowledgement": {"fa": "حدود {minutes} دقیقه، نفر {position} {0.__class__}"}}
    text = acknowledgement(own, "fa-IR", "en", estimated_wait_ms=61_000, position=12)
    assert text == "حدود ۲ دقیقه، نفر ۱۲ {0.__class__}"
    assert "3 min" in acknowledgement({}, "de", "en", estimated_wait_ms=180_000, position=1)
    assert "{" not in acknowledgement({}, "fa", "en", estimated_wait_ms=-1, position=0)


def test_backoff_grows_is_bounded_and_repeats_itself() -> None:
    """The same attempt waits for the same time in every process; different attempts do not wait for the same time."""
    rules = ChannelRules()
    waits = [backoff_ms(rules, "d1", tried) for tried in range(1, 30)]
    assert waits == [backoff_ms(rules, "d1", tried) for tried in range(1, 30)]
    assert 500 <= waits[0] <= 1_000
    assert max(waits) <= rules.last_retry_ms
    assert len({backoff_ms(rules, f"d{n}", 5) for n in range(50)}) > 40


def test_a_halted_account_waits_longer_each_time_until_it_works() -> None:
    """Attempts that failed together count once."""
    limits = SenderLimits(first_halt_ms=1_000, last_halt_ms=3_000)
    account_breaker = AccountBreaker(limits)
    account_breaker.halted("t", "telegram", "a", NOW)
    account_breaker.halted("t", "telegram", "a", NOW + 500)
    assert account_breaker.until("t", "telegram", "a") == NOW + 1_000
    account_breaker.halted("t", "telegram", "a", NOW + 1_000)
    assert account_breaker.until("t", "telegram", "a") == NOW + 3_000
    account_breaker.halted("t", "telegram", "a", NOW + 3_000)
    assert account_breaker.until("t", "telegram", "a") == NOW + 6_000
    account_breaker.answered("t", "telegram", "a")
    assert account_breaker.until("t", "telegram", "a") == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(["ok", "result", "parameters", "retry_after", "migrate_to_chat_id", "error", "code", "messages"])


@settings(max_examples=60)
@given(st.integers(100, 599), st.dictionaries(KEYS, JSON, max_size=4), st.text(max_size=12))
def test_any_answer_has_a_meaning(status: int, body: dict[str, object], retry_after: str) -> None:
    """Whatever a provider writes, classification neither raises nor treats a refusal as an acceptance."""
    for judge in (telegram, whatsapp):
        result = judge(status, body, retry_after)
        assert 0 <= result.retry_after_ms <= 3_600_000
        if result.outcome is Outcome.ACCEPTED:
            assert 200 <= status < 300


@pytest.mark.parametrize("forged", ["", "<x@y>", "<chapar.c.0.d@y>", "<chapar..é.d@y>", "<chapar.a.b.c.d@y>"])
def test_only_our_own_message_ids_name_a_conversation(forged: str) -> None:
    """Any other id names no conversation."""
    ours = reply_token.message_id("c-1", "d-1", "secret", "acme.example")
    assert reply_token.token_of(ours, "secret") == reply_token.ReplyToken("c-1")
    assert reply_token.token_of(forged, "secret") is None


def test_our_message_id_names_the_identity_that_got_the_mail() -> None:
    """Signed together with the conversation: neither can be exchanged."""
    first, second = ("00000000-0000-5000-8000-00000000000" + end for end in "12")
    ours = reply_token.message_id("c-1", "d-1", "secret", "acme.example", first)
    assert reply_token.token_of(ours, "secret") == reply_token.ReplyToken("c-1", first)
    for changed in (ours.replace("c-1", "c-2"), ours.replace(first.replace("-", ""), second.replace("-", ""))):
        assert changed != ours
        assert reply_token.token_of(changed, "secret") is None
