"""The survey pages: questions by signed link, a response by plain form. No script, no cookie, nothing from other
servers.

- Viewing a page never responds: programs that preview links also view it.
- The thank-you page comes after the response is durable. The survey lane decides whether it counts: a response that
  came too late to amend another gets the thank-you page and is not counted.
- The page does not show an earlier response: the holder of the link may respond, not read.
- Forged, damaged, expired, foreign and unknown links all get the same 404.
- A person's text is shown again only escaped, and stored only cleaned.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.feedback.adapters.dates import shown
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.page_form import Form, read_view
from services.feedback.adapters.page_texts import EN, FA, Texts, texts_for
from services.feedback.domain.reasons import Reason
from services.feedback.ports import Links, Programmes, Ticket
from services.policy.model.surveys import MAX_COMMENT_CHARS, MOST_QUESTIONS

_MAX_FIELDS: Final = 4 + MOST_QUESTIONS
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_TEMPLATES: Final = Path(__file__).with_name("templates")


class Pages:
    """Renders the pages and accepts the forms."""

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
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._template = environment.get_template("survey.html")
        self._css = _TEMPLATES.joinpath("survey.css").read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(self._css.encode()).digest()).decode()
        self._headers = {
            "content-security-policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
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
        return self._ask(request, ticket, self._form(request, ticket), 200)

    async def _take(self, request: Request) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            token = request.path_params["token"]
            # A readable token without a page belongs to a tenant that is not configured here.
            self._intake.refuse(self._links.refusal(token) if self._links.read(token) is None else "forged")
            return self._missing(request)
        form = self._form(request, ticket)
        t = _texts(request, ticket)
        try:
            fields = await _fields(request, form.most_bytes)
        except ChaparError as error:
            too_large = error.kind is ErrorKind.TOO_LARGE
            return self._ask(request, ticket, form, 413 if too_large else 400, t.too_long if too_large else t.again)
        if fields.get("website"):
            # People do not see this field; only programs fill it in. They get no hint.
            self._intake.refuse("bot")
            return self._thanks(request, ticket, form)
        wrong = form.missing(fields)
        if wrong:
            return self._ask(request, ticket, form, 400, t.problem, fields, wrong)
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
            return self._ask(request, ticket, form, 503, t.again, fields)
        return self._thanks(request, ticket, form)

    def _ticket(self, request: Request) -> Ticket | None:
        ticket = self._links.read(request.path_params["token"])
        if ticket is None or not self._programmes.knows(ticket.tenant):
            return None
        return ticket

    def _form(self, request: Request, ticket: Ticket) -> Form:
        t = _texts(request, ticket)
        # In the customer's language if the survey has it, even if the page does not; unless the customer chose another
        # page language.
        language = t.lang if "lang" in request.query_params else ticket.language
        return Form(ticket, self._programmes.of(ticket.tenant), t, language)

    def _ask(
        self,
        request: Request,
        ticket: Ticket,
        form: Form,
        status: int,
        problem: str = "",
        fields: Mapping[str, str] = _NOTHING,
        wrong: Mapping[str, str] = _NOTHING,
    ) -> Response:
        t = _texts(request, ticket)
        other = EN if t is FA else FA
        return self._render(
            t,
            status,
            state="ask",
            # Relative, so that a proxy may serve the pages below any path. The token has no character with a special
            # meaning in a URL.
            action=f"{request.path_params['token']}?lang={t.lang}",
            other=other,
            other_url=f"{request.path_params['token']}?lang={other.lang}",
            problem=problem,
            wrong=[{"field": each.field, "text": each.text} for each in form.questions if each.field in wrong],
            questions=form.shown(fields, wrong),
            view=read_view(fields.get("view", "")) or self._number(),
            note=self._note(ticket, form, t),
            max_comment=MAX_COMMENT_CHARS,
        )

    def _note(self, ticket: Ticket, form: Form, t: Texts) -> str:
        """Return the text that says until when to answer, and how an earlier response is treated."""
        until = t.until.format(shown(ticket.expires_at_ms, self._programmes.of(ticket.tenant).zone, t.lang))
        survey = form.survey
        if survey is None:
            return until
        if survey.first_response_counts:
            return f"{until} {t.first_counts}"
        if survey.amend_within_ms:
            return f"{until} {t.replaces_for.format(t.period(survey.amend_within_ms))}"
        return f"{until} {t.replaces}"

    def _thanks(self, request: Request, ticket: Ticket, form: Form) -> Response:
        t = _texts(request, ticket)
        amends = form.survey is not None and not form.survey.first_response_counts
        return self._render(
            t,
            200,
            state="told",
            heading=t.thanks[0],
            text=t.thanks[1],
            change_url=f"{request.path_params['token']}?lang={t.lang}" if amends else "",
            note=self._note(ticket, form, t),
        )

    def _missing(self, request: Request) -> Response:
        t = FA if _prefers_persian(request) else EN
        return self._render(t, 404, state="told", heading=t.missing[0], text=t.missing[1], change_url="")

    async def _nothing_here(self, request: Request, _error: Exception) -> Response:
        return self._missing(request)

    async def _broken(self, request: Request, _error: Exception) -> Response:
        t = FA if _prefers_persian(request) else EN
        return self._render(t, 500, state="told", heading=t.title, text=t.again, change_url="")

    def _render(self, t: Texts, status: int, **values: Any) -> Response:
        self._requests.labels(str(status)).inc()
        html = self._template.render(t=t, css=self._css, **values)
        return Response(html.encode("utf-8", "replace"), status, self._headers, media_type="text/html; charset=utf-8")


def _texts(request: Request, ticket: Ticket) -> Texts:
    wanted = request.query_params.get("lang", "")
    return texts_for(wanted if wanted in ("fa", "en") else ticket.language)


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
