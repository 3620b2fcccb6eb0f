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
from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.feedback.adapters.dates import shown
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.page_cache import NOTHING, PageCache, SurveyPage
from services.feedback.adapters.page_form import read_view
from services.feedback.adapters.page_template import Template
from services.feedback.adapters.page_texts import EN, FA, Texts, texts_for
from services.feedback.domain.reasons import Reason
from services.feedback.ports import Links, Programmes, Ticket
from services.policy.model.surveys import MOST_QUESTIONS

_MAX_FIELDS: Final = 4 + MOST_QUESTIONS


class Pages:
    """Shows the pages and accepts the forms."""

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
        self._headers = {
            "content-security-policy": f"default-src 'none'; style-src '{template.style_hash}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-robots-tag": "noindex",
            "cache-control": "no-store",
        }

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/s/{token}", self._show, methods=["GET"]),
                Route("/s/{token}", self._take, methods=["POST"]),
            ],
            exception_handlers={404: self._nothing_here, 405: self._nothing_here, 500: self._broken},
        )

    async def _show(self, request: Request) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._missing(request)
        page, until = self._page(request, ticket)
        token = request.path_params["token"]
        return self._respond(200, page.asked.filled(token=token, view=self._number(), until=until))

    async def _take(self, request: Request) -> Response:
        token = request.path_params["token"]
        ticket = self._ticket(request)
        if ticket is None:
            # A readable token without a page belongs to a tenant that is not configured here.
            self._intake.refuse(self._links.refusal(token) if self._links.read(token) is None else "forged")
            return self._missing(request)
        page, until = self._page(request, ticket)
        form, t = page.form, page.t

        def again(
            status: int, problem: str, fields: Mapping[str, str] = NOTHING, wrong: Mapping[str, str] = NOTHING
        ) -> Response:
            view = read_view(fields.get("view", "")) or self._number()
            return self._respond(status, page.asked_again(problem, fields, wrong, token=token, view=view, until=until))

        try:
            fields = await _fields(request, form.most_bytes)
        except ChaparError as error:
            too_large = error.kind is ErrorKind.TOO_LARGE
            return again(413 if too_large else 400, t.too_long if too_large else t.again)
        if fields.get("website"):
            # People do not see this field; only programs fill it in. They get no hint.
            self._intake.refuse("bot")
            return self._respond(200, page.thanks.filled(token=token, until=until))
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
        return self._respond(200, page.thanks.filled(token=token, until=until))

    def _ticket(self, request: Request) -> Ticket | None:
        ticket = self._links.read(request.path_params["token"])
        if ticket is None or not self._programmes.knows(ticket.tenant):
            return None
        return ticket

    def _page(self, request: Request, ticket: Ticket) -> tuple[SurveyPage, str]:
        """Return the ticket's page, and the time until which it can be answered, as text."""
        wanted = request.query_params.get("lang")
        t = texts_for(wanted if wanted in ("fa", "en") else ticket.language)
        # The questions are in the customer's language if the survey has it, even if the page does not; unless the
        # customer chose another page language.
        page = self._cache.page(ticket, t, ticket.language if wanted is None else t.lang)
        return page, shown(ticket.expires_at_ms, page.zone, t.lang)

    def _missing(self, request: Request) -> Response:
        return self._respond(404, self._missing_pages["fa" if _prefers_persian(request) else "en"])

    async def _nothing_here(self, request: Request, _error: Exception) -> Response:
        return self._missing(request)

    async def _broken(self, request: Request, _error: Exception) -> Response:
        return self._respond(500, self._broken_pages["fa" if _prefers_persian(request) else "en"])

    def _respond(self, status: int, html: bytes) -> Response:
        self._requests.labels(str(status)).inc()
        return Response(html, status, self._headers, media_type="text/html; charset=utf-8")


def _told(template: Template, t: Texts, heading: str, text: str) -> bytes:
    return template.html(t, state="told", heading=heading, text=text, change_url="")


def _prefers_persian(request: Request) -> bool:
    first = request.headers.get("accept-language", "").split(",", 1)[0].strip().lower()
    return request.query_params.get("lang") == "fa" or first.startswith("fa")


async def _fields(request: Request, most_bytes: int) -> dict[str, str]:
    """Return the form's fields, the last of each name. Raises TOO_LARGE or INVALID. The size is counted while it is
    read, because the stated length may be false."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise ChaparError(ErrorKind.TOO_LARGE, Reason.BODY_TOO_LARGE, f"more than {most_bytes} bytes")
        return dict(
            parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MAX_FIELDS
            )
        )
    except (ValueError, ClientDisconnect) as error:
        raise ChaparError(ErrorKind.INVALID, Reason.BAD_FORM, "not a form") from error
