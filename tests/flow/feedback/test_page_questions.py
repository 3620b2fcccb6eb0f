"""A page with several questions: the form, the errors, and the submitted response."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.adapters.page_form import BASE_BYTES, TEXT_BYTES
from services.feedback.adapters.pages import Pages
from services.feedback.metrics import METRICS
from services.policy.model.surveys import Question, SurveyKind
from tests.flow.feedback.test_pages import Log, a_ticket
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme, a_survey

MORE = (
    Question("effort", SurveyKind.CES, {"fa": "آسان بود؟", "en": "Was it easy?"}),
    Question("why", SurveyKind.TEXT, {"fa": "چرا؟", "en": "Why?"}),
    Question("nps", SurveyKind.NPS, {"fa": "پیشنهاد می‌کنید؟"}, optional=True),
)
Visit = Callable[..., httpx.AsyncClient]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def links() -> SignedLinks:
    return SignedLinks(link_key(b"s" * 40), "http://pages", lambda: NOW)


@pytest.fixture
def visit(log: Log, links: SignedLinks) -> Visit:
    def browser(**survey: Any) -> httpx.AsyncClient:
        options = {"questions": {"fa": "راضی بودید؟", "en": "Satisfied?"}, "more": MORE, **survey}
        programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme(a_survey(**options)))}.get)
        metrics = Metrics(METRICS)
        app = Pages(programmes, links, ResponseIntake(log, lambda: NOW, metrics), metrics).app()
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages")

    return browser


async def test_every_question_has_its_legend_and_the_order_of_the_survey(visit: Visit, links: SignedLinks) -> None:
    """An optional scale can be left without an answer again; a question without an English text is asked in the
    tenant's language."""
    async with visit() as browser:
        page = (await browser.get(links.url(a_ticket("en")))).text
    places = [page.index(text) for text in ("Satisfied?", "Was it easy?", "Why?", "پیشنهاد می‌کنید؟", "Anything you")]
    assert places == sorted(places)
    assert page.count("<fieldset") == page.count("<legend") == 3
    assert page.count("No answer") == 1


async def test_all_answers_are_cleaned_and_keyed_by_question(visit: Visit, links: SignedLinks, log: Log) -> None:
    """Digits of either script are read; overrides are removed, yeh and kaf stay as they were written."""
    async with visit() as browser:
        fields = {"score": "۵", "q-effort": "7", "q-why": "كتاب\u202eي خوبی", "q-nps": "", "comment": "پایان"}
        page = await browser.post(links.url(a_ticket()), data=fields)
    assert page.status_code == 200
    (command,) = log.commands
    assert (command.response.score, command.response.comment) == (5, "پایان")
    assert [(each.question_id, each.score, each.text) for each in command.response.answers] == [
        ("effort", 7, ""),
        ("why", 0, "كتابي خوبی"),
    ]


async def test_missing_answers_are_shown_above_and_at_the_question_and_the_rest_is_kept(
    visit: Visit, links: SignedLinks, log: Log
) -> None:
    """The summary gets the focus and links to each question; nothing is published."""
    async with visit() as browser:
        fields = {"score": "4", "q-effort": "9", "q-why": " \u200f ", "q-nps": "10", "comment": "kept"}
        response = await browser.post(links.url(a_ticket("en")), data=fields)
    page = response.text
    assert response.status_code == 400
    assert log.commands == []
    assert page.count('aria-invalid="true"') == 2
    for field in ("q-effort", "q-why"):
        assert f'href="#{field}"' in page
        assert f'id="{field}-wrong"' in page
    assert 'role="alert" tabindex="-1" autofocus' in page
    assert "<title>Your answer has not been sent yet: Your opinion</title>" in page
    assert 'name="score" value="4" required checked' in page
    assert 'name="q-nps" value="10" checked' in page
    assert "kept</textarea>" in page


async def test_free_text_as_the_first_question_has_no_scale_and_must_not_be_empty(
    visit: Visit, links: SignedLinks, log: Log
) -> None:
    """Its text is the answer; there is no second field for comments."""
    async with visit(kind=SurveyKind.TEXT, more=()) as browser:
        url = links.url(a_ticket("en", kind=SurveyKind.TEXT))
        page = (await browser.get(url)).text
        assert page.count("<textarea") == 1
        assert 'type="radio"' not in page
        assert (await browser.post(url, data={"comment": " "})).status_code == 400
        assert (await browser.post(url, data={"comment": "More tea"})).status_code == 200
    (command,) = log.commands
    assert (command.response.score, command.response.comment) == (0, "More tea")


@pytest.mark.parametrize(
    ("survey", "note", "changes"),
    [
        ({}, "a new answer replaces the former one.", True),
        ({"amend_within_ms": 3 * HOUR}, "replaces the former one, for 3 hours after the first.", True),
        ({"first_response_counts": True}, "Only your first answer counts.", False),
    ],
)
async def test_the_page_shows_the_expiry_and_how_an_earlier_response_is_treated(
    visit: Visit, links: SignedLinks, survey: dict[str, Any], note: str, changes: bool
) -> None:
    """After the thanks, the form is offered again, without the earlier answers."""
    async with visit(more=(), **survey) as browser:
        url = links.url(a_ticket("en"))
        page = await browser.get(url)
        assert note in page.text
        assert "You can answer until Tuesday, 14 November 2023, 23:13." in page.text
        thanks = await browser.post(url, data={"score": "2", "comment": "secret"})
        assert ("Change your answer" in thanks.text) is changes
        again = await browser.get(url)
    assert "secret" not in again.text
    assert " checked" not in again.text


async def test_readers_of_persian_see_the_jalali_date_of_the_tenants_zone(visit: Visit, links: SignedLinks) -> None:
    """The date has Persian digits."""
    async with visit(more=()) as browser:
        page = (await browser.get(links.url(a_ticket("fa")))).text
    assert "تا سه‌شنبه ۲۳ آبان ۱۴۰۲ ساعت ۲۳:۱۳ می‌توانید پاسخ دهید." in page


async def test_each_free_text_may_have_its_full_length_and_ten_megabytes_are_refused(
    visit: Visit, links: SignedLinks, log: Log
) -> None:
    """4,000 Persian letters in both fields are accepted; the limit grows with the number of questions, not with the
    request."""
    async with visit() as browser:
        url = links.url(a_ticket("en"))
        fields = {"score": "5", "q-effort": "7", "q-why": "خ" * 4000, "comment": "م" * 4000}
        assert (await browser.post(url, data=fields)).status_code == 200
        huge = await browser.post(url, content=b"comment=" + b"a" * 10_000_000)
        assert huge.status_code == 413
        assert "too long" in huge.text
        assert (await browser.post(url, content=b"q-why=" + b"a" * (BASE_BYTES + TEXT_BYTES))).status_code == 413
    (command,) = log.commands
    assert (len(command.response.comment), len(command.response.answers[1].text)) == (4000, 4000)


async def test_a_survey_that_was_changed_can_still_be_answered(visit: Visit, links: SignedLinks, log: Log) -> None:
    """The link says CSAT, but the survey of that name is NPS now: the generic question is shown, and no others."""
    async with visit(kind=SurveyKind.NPS) as browser:
        page = await browser.post(links.url(a_ticket("en")), data={"score": "5"})
    assert page.status_code == 200
    assert log.commands[0].response.source == pb.RESPONSE_SOURCE_PAGE
