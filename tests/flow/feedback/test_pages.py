"""The survey pages, without Kafka: what a customer's browser gets, and what programs and forged links get."""

import asyncio
import hashlib
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from urllib.parse import quote_plus

import httpx
import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.links import SIGNATURE_BYTES, SignedLinks, link_key
from services.feedback.adapters.page_form import BASE_BYTES
from services.feedback.adapters.pages import Pages
from services.feedback.metrics import METRICS
from services.feedback.ports import Ticket
from services.policy.model.surveys import SurveyKind
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme, a_survey

QUESTIONS = {"fa": "چقدر راضی بودید؟ <b>", "en": "How satisfied were you? <b>"}


class Log:
    """Keeps commands in memory; `down` makes it refuse."""

    def __init__(self) -> None:
        self.commands: list[pb.FeedbackCommand] = []
        self.down = False

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        if self.down:
            raise ChaparError(ErrorKind.UNAVAILABLE, "BROKER_UNAVAILABLE", "down")
        self.commands.append(command)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def links(clock: ManualClock) -> SignedLinks:
    return SignedLinks(link_key(b"s" * 40), "http://pages", clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(METRICS, tenants=True)


@pytest.fixture
async def browser(
    log: Log, clock: ManualClock, links: SignedLinks, metrics: Metrics
) -> AsyncIterator[httpx.AsyncClient]:
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme(a_survey(questions=QUESTIONS)))}.get)
    app = Pages(programmes, links, ResponseIntake(log, clock, metrics), metrics).app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages") as client:
        yield client


def a_ticket(language: str = "fa", kind: SurveyKind = SurveyKind.CSAT, tenant: str = TENANT) -> Ticket:
    return Ticket(tenant, "person-1", "invitation-1", "after-contact", kind, language, NOW + HOUR)


async def test_a_persian_page_is_right_to_left_with_persian_digits_and_values_in_ascii(
    browser: httpx.AsyncClient, links: SignedLinks
) -> None:
    """The question is escaped, each choice is labelled, nothing is loaded from other servers and no script runs."""
    page = await browser.get(links.url(a_ticket()))
    assert page.status_code == 200
    assert '<html lang="fa" dir="rtl">' in page.text
    assert "چقدر راضی بودید؟ &lt;b&gt;" in page.text
    assert re.findall(r'value="(\d)" required><span>(.)</span>', page.text) == list(zip("12345", "۱۲۳۴۵", strict=True))
    assert page.text.count("<label><input") == 5
    assert 'for="comment"' in page.text
    assert "<script" not in page.text
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


async def test_an_english_page_is_left_to_right_and_offers_persian(
    browser: httpx.AsyncClient, links: SignedLinks
) -> None:
    """The other language is one click away, on the same link."""
    page = await browser.get(links.url(a_ticket("en-GB")))
    assert '<html lang="en" dir="ltr">' in page.text
    assert "How satisfied" in page.text
    other = re.search(r'href="([^"]+)" hreflang="fa"', page.text)
    assert other
    assert 'dir="rtl"' in (await browser.get(f"/s/{other[1]}")).text


async def test_the_policy_allows_the_pages_own_style_and_nothing_else(
    browser: httpx.AsyncClient, links: SignedLinks
) -> None:
    """The hash in the header is that of the style in the page; the token goes to no referrer and no cache."""
    page = await browser.get(links.url(a_ticket()))
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("score", ["4", "۴", "٤", " 4 "])
async def test_a_response_is_in_the_log_before_the_thanks(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log, score: str
) -> None:
    """The command is keyed by person, with the comment cleaned and digits of any script read."""
    page = await browser.post(links.url(a_ticket()), data={"score": score, "comment": "خوب\u202e بود"})
    assert page.status_code == 200
    assert "سپاسگزاریم" in page.text
    (command,) = log.commands
    assert (command.tenant, command.person_id, command.response.invitation_id) == (TENANT, "person-1", "invitation-1")
    assert (command.response.score, command.response.comment) == (4, "خوب بود")
    assert command.response.source == pb.RESPONSE_SOURCE_PAGE


async def test_a_double_click_is_one_command_and_a_change_of_mind_another(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log
) -> None:
    """The command's id derives from the response and the page view; the lane decides which of them counts."""
    for score, view in (("4", "a"), ("4", "a"), ("1", "a"), ("4", "b")):
        await browser.post(links.url(a_ticket()), data={"score": score, "view": view})
    first, *others = [command.command_id for command in log.commands]
    assert [first == other for other in others] == [True, False, False]


async def test_every_page_view_has_a_number_that_a_form_with_errors_keeps(
    browser: httpx.AsyncClient, links: SignedLinks
) -> None:
    """So a change of mind and back again, on another visit, is not taken for a repetition."""

    def number(page: httpx.Response) -> str:
        found = re.search(r'name="view" value="([A-Za-z0-9_-]+)"', page.text)
        assert found
        return found[1]

    url = links.url(a_ticket())
    first = number(await browser.get(url))
    assert number(await browser.get(url)) != first
    assert number(await browser.post(url, data={"view": first})) == first
    assert number(await browser.post(url, data={"view": '"><script>'})) not in (first, '"><script>')


async def test_viewing_a_page_never_submits_a_response(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log
) -> None:
    """Link previews view the page; so do HEAD requests."""
    await browser.get(links.url(a_ticket()) + "?score=5")
    await browser.head(links.url(a_ticket()))
    assert log.commands == []


@pytest.mark.parametrize(
    "fields", [{}, {"score": ""}, {"score": "6"}, {"score": "-1"}, {"score": "²"}, {"score": "1e9"}]
)
async def test_without_a_choice_the_form_is_shown_again_with_its_text(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log, fields: dict[str, str]
) -> None:
    """400, a sentence for screen readers, the comment kept and escaped."""
    page = await browser.post(links.url(a_ticket()), data={**fields, "comment": "</textarea><script>x</script>"})
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert "&lt;/textarea&gt;&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert log.commands == []


async def test_while_the_log_is_unavailable_the_form_keeps_the_response(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log
) -> None:
    """503, and the form as it was filled in; the next attempt succeeds."""
    log.down = True
    page = await browser.post(links.url(a_ticket()), data={"score": "2", "comment": "bad"})
    assert page.status_code == 503
    assert 'value="2" required checked' in page.text
    assert "\nbad</textarea>" in page.text
    log.down = False
    assert (await browser.post(links.url(a_ticket()), data={"score": "2", "comment": "bad"})).status_code == 200
    assert len(log.commands) == 1


async def test_forged_expired_and_foreign_links_and_unknown_paths_look_the_same(
    browser: httpx.AsyncClient, links: SignedLinks, clock: ManualClock, log: Log, metrics: Metrics
) -> None:
    """The same 404, byte for byte, for viewing and for responding."""
    good = links.token(a_ticket())
    expiring = links.token(Ticket(TENANT, "p", "i", "s", SurveyKind.CSAT, "fa", NOW + 1000))
    clock.advance(1000)
    forged = SignedLinks(b"another key of thirty-two bytes!", "", clock).token(a_ticket())
    foreign = links.token(a_ticket(tenant="nobody"))
    paths = [f"/s/{token}" for token in (forged, expiring, foreign, good[:-8], "x", "%00", "a" * 5000)] + ["/", "/s/"]
    seen = set()
    for path in paths:
        for page in (await browser.get(path), await browser.post(path, data={"score": "5"})):
            assert page.status_code == 404, path
            seen.add(page.content)
    assert len(seen) == 1
    assert log.commands == []
    assert metrics.value("chapar_feedback_responses_total", "", "", "late") == 1
    assert metrics.value("chapar_feedback_responses_total", "", "", "forged") == 6


@settings(max_examples=40)
@given(st.data())
def test_any_changed_link_is_not_found(data: st.DataObject) -> None:
    """Letters changed, parts cut, swapped and doubled, the ticket of another tenant under this signature, a token of
    another kind: all get the 404 of a page that does not exist."""
    log, metrics = Log(), Metrics(METRICS)
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme()), "other": TenantSurveys(a_programme())}.get)
    links = SignedLinks(link_key(b"s" * 40), "", lambda: NOW)
    app = Pages(programmes, links, ResponseIntake(log, lambda: NOW, metrics), metrics).app()
    token = links.token(a_ticket())
    raw, other = (urlsafe_b64decode(made) for made in (token, links.token(a_ticket(tenant="other"))))
    ticket, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
    place = data.draw(st.integers(0, len(token) - 1))
    spoiled = data.draw(
        st.one_of(
            st.sampled_from("abAB01-_").map(lambda letter: token[:place] + letter + token[place + 1 :]),
            st.just(token[:place]),
            st.sampled_from(
                [
                    *(other[:-SIGNATURE_BYTES] + signature, ticket + other[-SIGNATURE_BYTES:], ticket, raw + signature),
                    *(ticket + bytes(SIGNATURE_BYTES), ticket + signature[:-1], ticket + signature[:1], signature),
                ]
            ).map(lambda made: urlsafe_b64encode(made).decode()),
            st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).map(quote_plus),
            st.sampled_from([None, "", "x", 5]).map(lambda kind: jwt.encode({"aud": "chapar", "knd": kind}, b"k" * 32)),
        )
    )
    assume(spoiled not in (token, ".", ".."))

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages") as client:
            nothing = await client.get("/s/nothing")
            path = f"/s/{spoiled}"
            return [nothing, await client.get(path), await client.post(path, data={"score": "5"})]

    nothing, shown, taken = asyncio.run(both())
    assert (shown.status_code, taken.status_code) == (404, 404)
    assert shown.content == taken.content == nothing.content
    assert log.commands == []


async def test_bodies_are_limited_while_they_are_read(browser: httpx.AsyncClient, links: SignedLinks, log: Log) -> None:
    """413 above 64 KiB, also without a length; an unreadable body is 400; nothing is written."""
    url = links.url(a_ticket())

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"comment=" + b"a" * 8192

    assert (await browser.post(url, content=b"score=5&comment=" + b"a" * BASE_BYTES)).status_code == 413
    assert (await browser.post(url, content=endless())).status_code == 413
    for rubbish in (b"\xff\xfe", b"&&&", b"a=1" + b"&a=1" * 20):
        assert (await browser.post(url, content=rubbish)).status_code == 400
    assert log.commands == []


async def test_a_program_that_fills_every_field_gets_thanks_and_is_not_counted(
    browser: httpx.AsyncClient, links: SignedLinks, log: Log, metrics: Metrics
) -> None:
    """The hidden field is filled in; the request is counted as a bot."""
    page = await browser.post(links.url(a_ticket()), data={"score": "5", "website": "http://spam"})
    assert page.status_code == 200
    assert log.commands == []
    assert metrics.value("chapar_feedback_responses_total", TENANT, "", "bot") == 1


@pytest.mark.parametrize(("kind", "count", "last"), [(SurveyKind.NPS, 11, "۱۰"), (SurveyKind.CES, 7, "۷")])
async def test_other_kinds_ask_their_own_scale_and_a_generic_question_where_none_is_configured(
    browser: httpx.AsyncClient, links: SignedLinks, kind: SurveyKind, count: int, last: str
) -> None:
    """The survey of this name is CSAT meanwhile: its question would not fit the scale."""
    page = await browser.get(links.url(a_ticket(kind=kind)))
    assert page.text.count('type="radio"') == count
    assert re.search(rf"<span>{last}</span></label>\s*</div>", page.text)
    assert "چقدر راضی بودید؟" not in page.text
