"""The survey pages over HTTP: requests that are served directly and those that Starlette serves look the same."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.adapters.page_form import MOST_FIELDS, read_form
from services.feedback.adapters.page_http import PageApp, Visit
from services.feedback.adapters.pages import Pages
from services.feedback.metrics import METRICS
from tests.flow.feedback.test_pages import Log, a_ticket
from tests.unit.feedback.builders import NOW, TENANT, a_programme

LINKS = SignedLinks(link_key(b"s" * 40), "http://pages", lambda: NOW)
PIECES = st.sampled_from(["a", "=", "&", "+", "%", "%41", "%d8%AE", "%ff", "%0", "%zz", ";", "é", "\x00", " ", "score"])


class Broken(Log):
    """A log with a bug."""

    async def publish(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")


def an_app(log: Log, metrics: Metrics) -> PageApp:
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme())}.get)
    return Pages(programmes, LINKS, ResponseIntake(log, lambda: NOW, metrics), metrics).app()


def a_browser(app: PageApp, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, **options), base_url="http://pages")


async def call(app: PageApp, messages: Iterable[dict[str, Any]]) -> list[Any]:
    """Post to a valid link with these messages as the body; return what the application sends."""
    sent: list[Any] = []
    incoming = iter(messages)

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/s/{LINKS.token(a_ticket())}"
    await app({"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}, receive, send)
    return sent


@given(st.lists(PIECES, max_size=12).map("".join).map(lambda text: text.encode()) | st.binary(max_size=40))
def test_a_form_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    """The same fields, or a refusal for the same bodies."""

    def outcome(read: Callable[[bytes], dict[str, str]]) -> dict[str, str] | None:
        try:
            return read(body)
        except ValueError:
            return None

    def standard(raw: bytes) -> dict[str, str]:
        text = raw.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=MOST_FIELDS)
        return dict(fields)

    assert outcome(read_form) == outcome(standard)


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=30), max_size=MOST_FIELDS))
def test_a_form_is_read_as_a_browser_writes_it(fields: dict[str, str]) -> None:
    """Any letters in names and values."""
    assert read_form(urlencode(fields).encode()) == fields


def test_a_form_has_a_bounded_number_of_fields() -> None:
    """The page has fewer; repeated fields count."""
    assert read_form(b"&".join([b"a=1"] * MOST_FIELDS)) == {"a": "1"}
    with pytest.raises(ValueError, match="too many"):
        read_form(b"&".join([b"a=1"] * (MOST_FIELDS + 1)))


@given(st.sampled_from(["", "lang=fa", "lang=en"]) | st.lists(PIECES | st.just("lang="), max_size=6).map("".join))
def test_the_language_of_an_address_is_read_as_starlette_reads_it(query: str) -> None:
    """Also where it is repeated, empty, or one that the pages do not have."""
    raw = query.encode("latin-1")
    assert Visit({"query_string": raw}, None).language == QueryParams(raw).get("lang")  # type: ignore[arg-type]  # no body


async def test_every_answer_has_the_same_headers() -> None:
    """Pages, errors, addresses that do not exist, methods that are not allowed."""
    url, found = LINKS.url(a_ticket()), set()
    async with a_browser(an_app(Broken(), Metrics(METRICS)), raise_app_exceptions=False) as browser:
        for status, method, path, data in (
            (200, "GET", url, None),
            (200, "HEAD", url, None),
            (400, "POST", url, {}),
            (500, "POST", url, {"score": "4"}),
            (404, "GET", "/s/x", None),
            (404, "PUT", url, None),
            (404, "GET", "/s/", None),
            (404, "GET", f"{url}/more", None),
            (404, "POST", "/", None),
        ):
            answer = await browser.request(method, path, data=data)
            assert answer.status_code == status, (method, path)
            size = int(answer.headers.pop("content-length"))
            assert size == len(answer.content) or (method == "HEAD" and size > 0)
            found.add(tuple(sorted(answer.headers.items())))
    (headers,) = found
    assert {name for name, _ in headers} == {
        *("cache-control", "content-security-policy", "content-type", "referrer-policy"),
        *("x-content-type-options", "x-robots-tag"),
    }


async def test_a_bug_shows_a_page_and_reaches_the_server() -> None:
    """The customer is asked to try again, the request is counted, and the server can log the error."""
    metrics = Metrics(METRICS)
    app = an_app(Broken(), metrics)
    async with a_browser(app, raise_app_exceptions=False) as browser:
        answer = await browser.post(LINKS.url(a_ticket()), data={"score": "4"})
    assert (answer.status_code, "could not be saved" in answer.text) == (500, True)
    assert metrics.value("chapar_feedback_page_requests_total", "500") == 1
    async with a_browser(app) as browser:
        with pytest.raises(RuntimeError, match="a bug"):
            await browser.post(LINKS.url(a_ticket()), data={"score": "4"})


async def test_a_body_is_read_in_any_number_of_parts() -> None:
    """An empty part ends nothing."""
    log = Log()
    parts = [b"sco", b"", b"re=4&comment=", b"x", b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    sent = await call(an_app(log, Metrics(METRICS)), [*messages, {"type": "http.request"}])
    assert [message.get("status") for message in sent] == [200, None]
    (command,) = log.commands
    assert (command.response.score, command.response.comment) == (4, "x")


@pytest.mark.parametrize("before", [[], [b"score=4"]])
async def test_a_client_that_leaves_within_its_form_submits_nothing(before: list[bytes]) -> None:
    """Half of a form could be another answer."""
    log = Log()
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in before]
    sent = await call(an_app(log, Metrics(METRICS)), [*messages, {"type": "http.disconnect"}])
    assert sent[0]["status"] == 400
    assert log.commands == []
