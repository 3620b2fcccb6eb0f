"""What the answers of providers about files mean, and when a file is tried again."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain import fetching
from services.ingest.domain.fetching import FetchLimits, FetchOutcome, NotFetched
from services.ingest.domain.files.policy import FileRefusal
from services.ingest.domain.reasons import Reason

LIMITS = FetchLimits()
BASE = "https://graph.facebook.com"
HOSTS = ("lookaside.fbsbx.com",)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "refusal"),
    [
        (400, {"description": "Bad Request: file is too big"}, "REFUSED", "TOO_LARGE"),
        (400, {"description": "Bad Request: wrong file_id"}, "REFUSED", "GONE"),
        (401, {}, "HALTED", "NONE"),
        (404, {}, "HALTED", "NONE"),
        (429, {"parameters": {"retry_after": 3}}, "AGAIN", "NONE"),
        (502, None, "AGAIN", "NONE"),
        (302, None, "REFUSED", "NOT_FETCHED"),
    ],
)
def test_telegram(status: int, body: dict[str, object] | None, outcome: str, refusal: str) -> None:
    """getFile's refusals: about the file, about the account, or about now."""
    found = fetching.telegram(status, body)
    assert found is not None
    assert (found.outcome.name, found.refusal.name) == (outcome, refusal)
    assert found.retry_after_ms == (3_000 if status == 429 else 0)


@pytest.mark.parametrize(
    ("status", "code", "outcome", "refusal"),
    [
        (400, 100, "REFUSED", "GONE"),
        (400, 131052, "REFUSED", "GONE"),
        (401, 190, "HALTED", "NONE"),
        (400, 4, "AGAIN", "NONE"),
        (404, None, "REFUSED", "GONE"),
        (429, 80007, "AGAIN", "NONE"),
        (500, 131000, "AGAIN", "NONE"),
    ],
)
def test_whatsapp(status: int, code: int | None, outcome: str, refusal: str) -> None:
    """The Graph API's refusals, by code or by status."""
    found = fetching.whatsapp(status, {"error": {"code": code}} if code is not None else None)
    assert found is not None
    assert (found.outcome.name, found.refusal.name) == (outcome, refusal)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1", True),
        ("https://lookaside.fbsbx.com:443/x", True),
        ("https://graph.facebook.com/x", True),
        ("http://lookaside.fbsbx.com/x", False),
        ("https://lookaside.fbsbx.com:8443/x", False),
        ("https://lookaside.fbsbx.com.evil.example/x", False),
        ("https://evil.example/lookaside.fbsbx.com", False),
        ("https://lookaside.fbsbx.com@evil.example/x", False),
        ("https://evil.example\\@lookaside.fbsbx.com/x", False),
        ("https://user:password@lookaside.fbsbx.com/x", False),
        ("//lookaside.fbsbx.com/x", False),
        ("file:///etc/passwd", False),
        ("https://[::1", False),
    ],
)
def test_where_the_token_may_go(url: str, *, may: bool) -> None:
    """By TLS to an allowed host, or where it goes anyway."""
    assert fetching.allowed(url, BASE, HOSTS) is may


@given(st.text(max_size=60) | st.from_regex(r"https?://[a-z.@\\:0-9]{1,40}/x", fullmatch=True))
def test_no_other_host_is_allowed(url: str) -> None:
    """Whatever the provider's answer says."""
    if fetching.allowed(url, BASE, HOSTS):
        assert urlsplit(url).hostname in (*HOSTS, "graph.facebook.com")
        assert urlsplit(url).scheme == "https"


@pytest.mark.parametrize(
    ("path", "usable"),
    [
        ("documents/file_1.pdf", True),
        ("/etc/passwd", False),
        ("../bot1/getMe", False),
        ("a/../../b", False),
        ("a//b", False),
        ("a?b", False),
        ("a#b", False),
        ("a%2e%2e/b", False),
        ("پرونده", False),
        ("", False),
        (7, False),
    ],
)
def test_a_path_is_a_path_below_the_files(path: object, *, usable: bool) -> None:
    """The address that it becomes part of has the token in it."""
    found = fetching.telegram_path({"ok": True, "result": {"file_path": path}})
    assert found == (path if usable else "")


@given(st.integers(100, 599), st.dictionaries(st.text(max_size=12), JSON, max_size=4), st.text(max_size=12))
def test_every_answer_means_something(status: int, body: dict[str, object], retry_after: str) -> None:
    """No answer raises, and no wait is longer than an hour."""
    for found in (
        fetching.telegram(status, body, retry_after),
        fetching.whatsapp(status, body, retry_after),
        fetching.telegram_download(status, retry_after),
        fetching.whatsapp_download(status, retry_after),
    ):
        assert (found is None) == (status == 200)
        assert found is None or 0 <= found.retry_after_ms <= 3_600_000
    assert isinstance(fetching.telegram_path(body), str)
    assert isinstance(fetching.whatsapp_media(body)[0], str)


def test_tries_of_one_round() -> None:
    """Growing waits; not for long ones, not for a wrong token, not more than the limit. An expired address is asked for at once."""
    again = NotFetched(FetchOutcome.AGAIN, "HTTP_503")
    assert [fetching.wait_ms(LIMITS, tries, again) for tries in (1, 2, 3)] == [1_000, 2_000, None]
    slow = NotFetched(FetchOutcome.AGAIN, "HTTP_429", retry_after_ms=6_000)
    assert fetching.wait_ms(LIMITS, 1, slow) is None
    assert fetching.wait_ms(LIMITS, 1, NotFetched(FetchOutcome.AGAIN, "HTTP_429", retry_after_ms=3_000)) == 3_000
    assert fetching.wait_ms(LIMITS, 1, NotFetched(FetchOutcome.HALTED, "HTTP_401")) is None
    assert fetching.wait_ms(LIMITS, 1, fetching.GONE) is None
    assert fetching.wait_ms(LIMITS, 1, NotFetched(FetchOutcome.AGAIN, Reason.LINK_EXPIRED)) == 0
    assert fetching.wait_ms(LIMITS, 1, NotFetched(FetchOutcome.AGAIN, Reason.TIMEOUT)) is None
    assert fetching.GONE.refusal is FileRefusal.GONE


def test_how_long_an_account_rests() -> None:
    """As long as the provider asks, at least half of the delay; longer after a download that did not end, because it holds up
    the files of others; not at all after a failure of one file."""
    asks = NotFetched(FetchOutcome.AGAIN, "HTTP_429", retry_after_ms=600_000)
    away = NotFetched(FetchOutcome.AGAIN, "HTTP_503")
    slow = NotFetched(FetchOutcome.AGAIN, Reason.TIMEOUT)
    assert fetching.rest_ms(LIMITS, asks, of_account=True) == 600_000
    assert fetching.rest_ms(LIMITS, away, of_account=True) == LIMITS.delay_ms // 2
    assert fetching.rest_ms(LIMITS, slow, of_account=False) == LIMITS.slow_rest_ms
    assert fetching.rest_ms(LIMITS, away, of_account=False) == 0
