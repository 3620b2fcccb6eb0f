"""The pages of a survey, rendered once for each tenant, survey and language.

A tenant's pages are dropped when its configuration changes: the first request after it sees another programme. The
number of kept pages is bounded; a page is about 10 KB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from types import MappingProxyType
from typing import Any, Final

from services.feedback.adapters.page_form import Form
from services.feedback.adapters.page_template import CutPage, Place, Template
from services.feedback.adapters.page_texts import EN, FA, Texts
from services.feedback.ports import Programmes, Ticket
from services.policy.model.surveys import MAX_COMMENT_CHARS, Programme

MOST_PAGES: Final = 500
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class SurveyPage:
    """One survey's pages in one language: the form with its questions, and the thanks."""

    def __init__(self, template: Template, form: Form, t: Texts, zone: tzinfo) -> None:
        """`zone`: that of the times on the page."""
        self.form = form
        self.t = t
        self.zone = zone
        self._template = template
        token, view, until = (template.place(place) for place in (Place.TOKEN, Place.VIEW, Place.UNTIL))
        self.asked: CutPage = template.cut(t, **self._question_values(token, view, until))
        survey = form.survey
        amends = survey is not None and not survey.first_response_counts
        self.thanks: CutPage = template.cut(
            t,
            state="told",
            heading=t.thanks[0],
            text=t.thanks[1],
            change_url=_url(token, t) if amends else "",
            note=self._note(until),
        )

    def asked_again(
        self,
        problem: str,
        fields: Mapping[str, str] = NOTHING,
        wrong: Mapping[str, str] = NOTHING,
        *,
        token: str,
        view: str,
        until: str,
    ) -> bytes:
        """Return the form with a problem and the values that were filled in. `wrong`: the errors, by field."""
        return self._template.html(self.t, **self._question_values(token, view, until, problem, fields, wrong))

    def _question_values(
        self,
        token: str,
        view: str,
        until: str,
        problem: str = "",
        fields: Mapping[str, str] = NOTHING,
        wrong: Mapping[str, str] = NOTHING,
    ) -> dict[str, Any]:
        other = EN if self.t is FA else FA
        return {
            "state": "ask",
            # Relative, so that a proxy may serve the pages below any path. The token has no character with a special
            # meaning in a URL.
            "action": _url(token, self.t),
            "other": other,
            "other_url": _url(token, other),
            "problem": problem,
            "wrong": [{"field": each.field, "text": each.text} for each in self.form.questions if each.field in wrong],
            "questions": self.form.shown(fields, wrong),
            "view": view,
            "note": self._note(until),
            "max_comment": MAX_COMMENT_CHARS,
        }

    def _note(self, until: str) -> str:
        """Return the text that says until when to answer, and how an earlier response is treated."""
        t, survey = self.t, self.form.survey
        text = t.until.format(until)
        if survey is None:
            return text
        if survey.first_response_counts:
            return f"{text} {t.first_counts}"
        if survey.amend_within_ms:
            return f"{text} {t.replaces_for.format(t.period(survey.amend_within_ms))}"
        return f"{text} {t.replaces}"


@dataclass(slots=True)
class _Tenant:
    """The pages of one programme of a tenant."""

    programme: Programme
    pages: dict[tuple[str, str, str, str], SurveyPage] = field(default_factory=dict)


class PageCache:
    """Keeps at most `most` pages, of all tenants together."""

    def __init__(self, programmes: Programmes, template: Template, most: int = MOST_PAGES) -> None:
        self._programmes = programmes
        self._template = template
        self._most = most
        self._tenants: dict[str, _Tenant] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def page(self, ticket: Ticket, t: Texts, language: str) -> SurveyPage:
        """Return the page of a ticket's survey with the texts `t`, its questions in `language`."""
        programme = self._programmes.of(ticket.tenant)
        tenant = self._tenants.get(ticket.tenant)
        if tenant is None or tenant.programme is not programme:
            self._count -= len(tenant.pages) if tenant is not None else 0
            tenant = self._tenants[ticket.tenant] = _Tenant(programme)
        key = (ticket.survey, ticket.kind, t.lang, language)
        page = tenant.pages.get(key)
        if page is None:
            page = SurveyPage(self._template, Form(ticket, programme, t, language), t, programme.zone)
            if self._count >= self._most:
                # Rare: one installation uses few of the surveys and languages at the same time.
                self._tenants = {ticket.tenant: _Tenant(programme, {key: page})}
                self._count = 1
            else:
                tenant.pages[key] = page
                self._count += 1
        return page


def _url(token: str, t: Texts) -> str:
    return f"{token}?lang={t.lang}"
