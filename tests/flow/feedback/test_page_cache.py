"""Pages that are rendered once: they are those that would be rendered for each request, of the current configuration."""

from dataclasses import replace
from datetime import UTC
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.adapters.page_cache import PageCache, SurveyPage
from services.feedback.adapters.page_form import Form
from services.feedback.adapters.page_template import CutPage, Place, Template
from services.feedback.adapters.page_texts import EN, FA, Texts
from services.feedback.adapters.pages import Pages
from services.feedback.metrics import METRICS
from services.policy.model.surveys import Question, SurveyKind
from tests.flow.feedback.test_pages import Log, a_ticket
from tests.unit.feedback.builders import NOW, TENANT, a_programme, a_survey

TEXTS = st.text(max_size=60) | st.sampled_from(["<b>&\"'{{ t }}{% if %}", "{}", "{0}", "token", "place"])


class OneRequest(Template):
    """A template that renders for one request: it has `texts` instead of marks."""

    texts: dict[Place, str]

    def place(self, place: Place) -> str:
        return self.texts[place]


class Counting(Template):
    """A template that counts the pages that it renders."""

    def __init__(self) -> None:
        super().__init__()
        self.rendered = 0

    def cut(self, t: Texts, **values: Any) -> CutPage:
        self.rendered += 1
        return super().cut(t, **values)


@pytest.fixture(scope="module")
def templates() -> tuple[Template, OneRequest]:
    return Template(), OneRequest()


@settings(max_examples=60)
@given(
    kind=st.sampled_from(SurveyKind),
    t=st.sampled_from([FA, EN]),
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
    first_counts=st.booleans(),
    amend_ms=st.sampled_from([0, 1, 3_600_000, 7_200_000]),
    known=st.booleans(),
    filled=st.fixed_dictionaries(dict.fromkeys(Place, TEXTS)),
)
def test_a_page_that_is_filled_in_is_the_page_that_is_rendered(
    templates: tuple[Template, OneRequest],
    kind: SurveyKind,
    t: Texts,
    texts: tuple[str, str, str],
    first_counts: bool,
    amend_ms: int,
    known: bool,
    filled: dict[Place, str],
) -> None:
    """For any texts of a survey and of a request, the bytes are the same, escaped alike."""
    persian, english, more = texts
    survey = a_survey(
        name="after-contact" if known else "another",
        kind=kind,
        questions={"fa": persian, "en": english},
        more=(Question("q", SurveyKind.TEXT, {"en": more}), Question("n", SurveyKind.NPS, {"fa": more}, optional=True)),
        first_response_counts=first_counts,
        amend_within_ms=amend_ms,
    )
    form = Form(a_ticket(kind=kind), a_programme(survey), t, t.lang)
    templates[1].texts = filled
    cached, direct = (SurveyPage(template, form, t, UTC) for template in templates)
    token, view, until = (filled[place] for place in (Place.TOKEN, Place.VIEW, Place.UNTIL))
    asked = cached.asked.filled(token=token, view=view, until=until)
    assert asked == direct.asked.filled(token="")
    assert asked == cached.asked_again("", token=token, view=view, until=until)
    assert cached.thanks.filled(token=token, until=until) == direct.thanks.filled(token="")


def test_a_page_is_rendered_once_for_each_survey_and_language() -> None:
    """The form and the thanks, whatever the person, the invitation and the expiry."""
    template = Counting()
    cache = PageCache(ConfiguredProgrammes({TENANT: TenantSurveys(a_programme())}.get), template)
    for number in range(10):
        for t in (FA, EN):
            ticket = replace(a_ticket(), person_id=f"p{number}", invitation_id=f"i{number}", expires_at_ms=NOW + number)
            cache.page(ticket, t, "fa")
    assert (len(cache), template.rendered) == (2, 4)


async def test_pages_follow_the_configuration_of_their_tenant() -> None:
    """A changed question is asked by the next page; another tenant's survey of the same name is another page; the pages
    of a tenant that is removed are not found."""
    tenants = {name: TenantSurveys(a_programme(a_survey(questions={"fa": f"{name}؟"}))) for name in (TENANT, "other")}
    links, metrics = SignedLinks(link_key(b"s" * 40), "", lambda: NOW), Metrics(METRICS)
    intake = ResponseIntake(Log(), lambda: NOW, metrics)
    app = Pages(ConfiguredProgrammes(tenants.get), links, intake, metrics).app()

    async def asked(tenant: str) -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages") as client:
            return (await client.get(links.url(a_ticket(tenant=tenant)))).text

    for _ in range(2):
        assert f"{TENANT}؟" in await asked(TENANT)
        assert "other؟" in await asked("other")
    changed = a_survey(questions={"fa": "چرا؟"}, first_response_counts=True)
    tenants[TENANT] = TenantSurveys(a_programme(changed))
    page = await asked(TENANT)
    assert "چرا؟" in page
    assert FA.first_counts in page
    assert "other؟" in await asked("other")
    del tenants[TENANT]
    assert FA.missing[0] in await asked(TENANT) or EN.missing[0] in await asked(TENANT)


def test_a_changed_configuration_drops_the_tenants_pages() -> None:
    """They are not kept beside the new ones."""
    tenants = {name: TenantSurveys(a_programme()) for name in (TENANT, "other")}
    cache = PageCache(ConfiguredProgrammes(tenants.get), Template())
    for tenant in tenants:
        for language in ("fa", "en", "de"):
            cache.page(a_ticket(tenant=tenant), EN, language)
    assert len(cache) == 6
    tenants[TENANT] = TenantSurveys(a_programme())
    cache.page(a_ticket(), EN, "en")
    assert len(cache) == 4


def test_the_number_of_kept_pages_is_bounded() -> None:
    """Languages come from messages of customers, so there may be many."""
    cache = PageCache(ConfiguredProgrammes({TENANT: TenantSurveys(a_programme())}.get), Template(), most=5)
    for number in range(12):
        page = cache.page(a_ticket(), EN, f"x-{number}")
        assert cache.page(a_ticket(), EN, f"x-{number}") is page
        assert len(cache) <= 5
