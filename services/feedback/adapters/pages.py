"""The survey pages: questions by signed link, a response by plain form. No script, no cookie, nothing from other
servers.

- Viewing a page never responds: programs that preview links also view it.
- The thank-you page comes after the response is durable. The survey lane decides whether it counts: a response that
  came too late to amend another gets the thank-you page and is not counted.
- The page does not show an earlier response: the holder of the link may respond, not read.
- Forged, damaged, expired, foreign and unknown links all get the same 404.
- A person's text is shown again only escaped, and stored only cleaned.
"""

import secrets
from collections.abc import Callable, Mapping

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.page_cache import NOTHING, PageCache, SurveyPage
from services.feedback.adapters.page_form import read_form, read_view
from services.feedback.adapters.page_http import Answer, PageApp, Visit
from services.feedback.adapters.page_template import Template
from services.feedback.adapters.page_texts import EN, FA, Texts, texts_for
from services.feedback.domain.reasons import Reason
from services.feedback.ports import Links, Programmes, Ticket
from services.policy.reading.dates import shown


class Pages:
    """Implements `page_http.Handler`: shows the pages and accepts the forms."""

    def __init__(
        self,
        programmes: Programmes,
        links: Links,
        intake: ResponseIntake,
        metrics: Metrics,
        number: Callable[[], str] = lambda: secrets.token_urlsafe(9),
    ) -> None:
        """`number` makes the number of a page view."""
        self._programmes = programmes
        self._links = links
        self._intake = intake
        self._number = number
        self._requests = metrics.counter("chapar_feedback_page_requests_total")
        template = Template()
        self._cache = PageCache(programmes, template)
        self._missing_pages = {t.lang: _told(template, t, *t.missing) for t in (FA, EN)}
        self._broken_pages = {t.lang: _told(template, t, t.title, t.again) for t in (FA, EN)}
        self._style = template.style_hash

    def app(self) -> PageApp:
        """Return the application."""
        return PageApp(self, self._style)

    async def show(self, visit: Visit) -> Answer:
        """Return the page of a link."""
        ticket = self._ticket(visit)
        if ticket is None:
            return self.missing(visit)
        page, until = self._page(visit, ticket)
        return self._counted(200, page.asked.filled(token=visit.token, view=self._number(), until=until))

    async def take(self, visit: Visit) -> Answer:
        """Accept a form."""
        token = visit.token
        ticket = self._ticket(visit)
        if ticket is None:
            # A readable token without a page belongs to a tenant that is not configured here.
            self._intake.refuse(self._links.refusal(token) if self._links.read(token) is None else "forged")
            return self.missing(visit)
        page, until = self._page(visit, ticket)
        form, t = page.form, page.t

        def again(
            status: int, problem: str, fields: Mapping[str, str] = NOTHING, wrong: Mapping[str, str] = NOTHING
        ) -> Answer:
            view = read_view(fields.get("view", "")) or self._number()
            return self._counted(status, page.asked_again(problem, fields, wrong, token=token, view=view, until=until))

        try:
            fields = await _fields(visit, form.most_bytes)
        except ChaparError as error:
            too_large = error.kind is ErrorKind.TOO_LARGE
            return again(413 if too_large else 400, t.too_long if too_large else t.again)
        if fields.get("website"):
            # People do not see this field; only programs fill it in. They get no hint.
            self._intake.refuse("bot", ticket.tenant)
            return self._counted(200, page.thanks.filled(token=token, until=until))
        wrong = form.missing(fields)
        if wrong:
            return again(400, t.problem, fields, wrong)
        score, answers = form.response(fields)
        try:
            await self._intake.submit(
                tenant=ticket.tenant,
                person_id=ticket.person_id,
                invitation_id=ticket.invitation_id,
                kind=ticket.kind,
                score=score,
                comment=fields.get("comment", ""),
                answers=answers,
                source=pb.RESPONSE_SOURCE_PAGE,
                view=read_view(fields.get("view", "")),
            )
        except ChaparError:
            return again(503, t.again, fields)
        return self._counted(200, page.thanks.filled(token=token, until=until))

    def missing(self, visit: Visit) -> Answer:
        """Return the page for every link that cannot be used."""
        return self._counted(404, self._missing_pages["fa" if visit.prefers_persian else "en"])

    def broken(self, visit: Visit) -> Answer:
        """Return the page for a request that could not be handled."""
        return self._counted(500, self._broken_pages["fa" if visit.prefers_persian else "en"])

    def _ticket(self, visit: Visit) -> Ticket | None:
        ticket = self._links.read(visit.token)
        if ticket is None or not self._programmes.knows(ticket.tenant):
            return None
        return ticket

    def _page(self, visit: Visit, ticket: Ticket) -> tuple[SurveyPage, str]:
        """Return the ticket's page, and the time until which it can be answered, as text."""
        wanted = visit.language
        t = texts_for(wanted if wanted in ("fa", "en") else ticket.language)
        # The questions are in the customer's language if the survey has it, even if the page does not; unless the
        # customer chose another page language.
        page = self._cache.page(ticket, t, ticket.language if wanted is None else t.lang)
        return page, shown(ticket.expires_at_ms, page.zone, t.lang)

    def _counted(self, status: int, html: bytes) -> Answer:
        self._requests.labels(str(status)).inc()
        return status, html


def _told(template: Template, t: Texts, heading: str, text: str) -> bytes:
    return template.html(t, state="told", heading=heading, text=text, change_url="")


async def _fields(visit: Visit, most_bytes: int) -> dict[str, str]:
    """Return the form's fields, the last of each name. Raises TOO_LARGE or INVALID."""
    body = await visit.body(most_bytes)
    try:
        return read_form(body)
    except ValueError as error:
        raise ChaparError(ErrorKind.INVALID, Reason.BAD_FORM, "not a form") from error
