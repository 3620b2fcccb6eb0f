"""The survey pages: a question by signed link, an answer by plain form. No script, no cookie, nothing from elsewhere.

- Looking at a page never answers: programs that preview links look too.
- The thank-you page comes after the answer is durable. Whether it counts is the survey lane's to say: a second answer is thanked for and not counted.
- Forged, damaged, expired, foreign and unknown links get one and the same 404.
- What a person wrote is shown again only escaped, and stored only cleaned.
"""

import base64
import hashlib
from pathlib import Path
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
from services.feedback.adapters.page_texts import CSS, EN, FA, Texts, texts_for
from services.feedback.domain.comments import MAX_COMMENT_CHARS
from services.feedback.domain.survey import SCALES, generic_question
from services.feedback.handlers import Answering
from services.feedback.ports import Links, Programmes, Ticket

MAX_BODY_BYTES: Final = 64 << 10
_MAX_FIELDS: Final = 8
_CSS_HASH: Final = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "cache-control": "no-store",
}
# Letters and digits of the scales: people type and send them in either script.
_DIGITS: Final = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")


class Pages:
    """Renders and takes the forms."""

    def __init__(self, programmes: Programmes, links: Links, answering: Answering, metrics: Metrics) -> None:
        self._programmes = programmes
        self._links = links
        self._answering = answering
        self._requests = metrics.counter("chapar_feedback_page_requests_total")
        self._answers = metrics.counter("chapar_feedback_answers_total")
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._template = environment.get_template("survey.html")

    def app(self) -> Starlette:
        """The application."""
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
        return self._ask(request, ticket, 200)

    async def _take(self, request: Request) -> Response:
        ticket = self._ticket(request)
        if ticket is None:
            return self._missing(request)
        try:
            fields = await _form(request)
        except ChaparError as error:
            return self._ask(request, ticket, 413 if error.kind is ErrorKind.TOO_LARGE else 400, problem=True)
        comment = fields.get("comment", "")
        if fields.get("website"):
            # Nobody sees this field; only programs fill it. They learn nothing.
            self._answers.labels("", "bot").inc()
            return self._thanks(request, ticket)
        score = _score(fields.get("score", ""))
        if score is None or score not in SCALES[ticket.kind]:
            return self._ask(request, ticket, 400, problem=True, comment=comment)
        try:
            await self._answering.submit(
                tenant=ticket.tenant,
                person_id=ticket.person_id,
                invitation_id=ticket.invitation_id,
                kind=ticket.kind,
                score=score,
                comment=comment,
                source=pb.ANSWER_SOURCE_PAGE,
            )
        except ChaparError:
            return self._ask(request, ticket, 503, chosen=score, comment=comment)
        return self._thanks(request, ticket)

    def _ticket(self, request: Request) -> Ticket | None:
        ticket = self._links.read(request.path_params["token"])
        if ticket is None or not self._programmes.knows(ticket.tenant):
            return None
        return ticket

    def _ask(
        self,
        request: Request,
        ticket: Ticket,
        status: int,
        *,
        problem: bool = False,
        chosen: int | None = None,
        comment: str = "",
    ) -> Response:
        t = _texts(request, ticket)
        scale = SCALES[ticket.kind]
        least, most = t.ends[ticket.kind]
        other = EN if t is FA else FA
        said = t.again if status == 503 else t.choose if problem else ""
        return self._render(
            t,
            status,
            state="ask",
            # Relative, so that a proxy may serve the pages below any path. The token holds no character with a meaning there.
            action=f"{request.path_params['token']}?lang={t.lang}",
            other=other,
            other_url=f"{request.path_params['token']}?lang={other.lang}",
            question=self._question(ticket, t),
            problem=said,
            scores=[{"value": each, "shown": t.number(each)} for each in scale],
            chosen=chosen,
            comment=comment[:MAX_COMMENT_CHARS],
            least=least,
            most=most,
            scale_note=t.scale.format(low=t.number(scale[0]), high=t.number(scale[-1]), least=least, most=most),
            max_comment=MAX_COMMENT_CHARS,
        )

    def _question(self, ticket: Ticket, t: Texts) -> str:
        programme = self._programmes.of(ticket.tenant)
        survey = next((each for each in programme.surveys if each.name == ticket.survey), None)
        if survey is None or survey.kind is not ticket.kind:
            return generic_question(ticket.kind, t.lang)
        return survey.questions.get(t.lang) or generic_question(ticket.kind, t.lang)

    def _thanks(self, request: Request, ticket: Ticket) -> Response:
        t = _texts(request, ticket)
        return self._render(t, 200, state="told", heading=t.thanks[0], text=t.thanks[1])

    def _missing(self, request: Request) -> Response:
        t = FA if _prefers_persian(request) else EN
        return self._render(t, 404, state="told", heading=t.missing[0], text=t.missing[1])

    async def _nothing_here(self, request: Request, _error: Exception) -> Response:
        return self._missing(request)

    async def _broken(self, request: Request, _error: Exception) -> Response:
        t = FA if _prefers_persian(request) else EN
        return self._render(t, 500, state="told", heading=t.title, text=t.again)

    def _render(self, t: Texts, status: int, **values: Any) -> Response:
        self._requests.labels(str(status)).inc()
        html = self._template.render(t=t, css=CSS, **values)
        return Response(html.encode("utf-8", "replace"), status, _HEADERS, media_type="text/html; charset=utf-8")


def _texts(request: Request, ticket: Ticket) -> Texts:
    wanted = request.query_params.get("lang", "")
    return texts_for(wanted if wanted in ("fa", "en") else ticket.language)


def _prefers_persian(request: Request) -> bool:
    first = request.headers.get("accept-language", "").split(",", 1)[0].strip().lower()
    return request.query_params.get("lang") == "fa" or first.startswith("fa")


def _score(text: str) -> int | None:
    text = text.strip().translate(_DIGITS)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else None


async def _form(request: Request) -> dict[str, str]:
    """The form's fields, the last of each name. Raises TOO_LARGE or INVALID. Counted while it comes in: a length is only a claim."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ChaparError(ErrorKind.TOO_LARGE, "BODY_TOO_LARGE", f"more than {MAX_BODY_BYTES} bytes")
        return dict(
            parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MAX_FIELDS
            )
        )
    except (ValueError, ClientDisconnect) as error:
        raise ChaparError(ErrorKind.INVALID, "BAD_FORM", "not a form") from error
