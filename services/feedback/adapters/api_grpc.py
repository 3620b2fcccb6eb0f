"""FeedbackService: invite, respond, and read responses and scores."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.feedback.v1 import feedback_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.current_call import current_tenant
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.chassis.ids import derive
from services.feedback.adapters import scores_api
from services.feedback.adapters.handlers import ResponseIntake, read_answers
from services.feedback.adapters.scores_view import ScoresView
from services.feedback.adapters.views import ListedResponse, ResponsesView, Wanted
from services.feedback.domain.reasons import Reason
from services.feedback.ports import CommandLog, Links, Programmes, Subjects
from services.feedback.translate.records import Untranslatable, subject
from services.policy.model.surveys import MAX_COMMENT_CHARS, Survey, SurveyKind

SERVICE: Final = pb.DESCRIPTOR.services_by_name["FeedbackService"].full_name
_KEY_CHARS: Final = 200

Context = grpc.aio.ServicerContext[Any, Any]


class FeedbackServicer(feedback_pb2_grpc.FeedbackServiceServicer):
    """The tenant is the caller's, in every method."""

    def __init__(
        self,
        *,
        programmes: Programmes,
        commands: CommandLog,
        intake: ResponseIntake,
        links: Links,
        subjects: Subjects,
        scores: ScoresView,
        responses: ResponsesView,
        clock: Clock,
    ) -> None:
        self._programmes = programmes
        self._commands = commands
        self._intake = intake
        self._links = links
        self._subjects = subjects
        self._scores = scores
        self._responses = responses
        self._clock = clock

    async def Invite(self, request: pb.InviteRequest, context: Context) -> pb.InviteResponse:  # noqa: N802 - the contract's name
        """Create an invitation by hand. The minimum gap applies; sampling does not."""
        tenant = current_tenant()
        _require_key(request.idempotency_key)
        about = request.subject
        for name in ("interaction_id", "conversation_id", "person_id", "identity_id"):
            if not getattr(about, name):
                raise invalid(f"subject.{name}", "is required")
        try:
            known = subject(about, about.person_id)
        except Untranslatable as error:
            raise invalid("subject", str(error)) from error
        survey = self._programmes.of(tenant).choose(known, request.survey)
        if survey is None and request.survey:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_SURVEY, f"there is no survey {request.survey[:80]!r}")
        await self._subjects.check(tenant, about)
        await self._commands.publish(
            pb.FeedbackCommand(
                command_id=derive("invite", tenant, request.idempotency_key),
                tenant=tenant,
                person_id=about.person_id,
                issued_at_ms=self._clock(),
                invite=pb.InviteNow(subject=about, survey=request.survey),
            )
        )
        return pb.InviteResponse(invitation_id=derive(tenant, about.interaction_id, survey.name) if survey else "")

    async def SubmitSurveyResponse(  # noqa: N802 - the contract's name
        self, request: pb.SubmitSurveyResponseRequest, context: Context
    ) -> pb.SubmitSurveyResponseResponse:
        """Submit a response, identified by the link's token or by both ids."""
        tenant = current_tenant()
        _require_key(request.idempotency_key)
        if len(request.comment) > MAX_COMMENT_CHARS:
            raise invalid("comment", f"must have at most {MAX_COMMENT_CHARS} characters")
        found: SurveyKind | None = None
        survey: Survey | None = None
        person_id, invitation_id = request.person_id, request.invitation_id
        if request.survey_token:
            ticket = self._links.read(request.survey_token)
            # Forged, expired or another tenant's: the caller does not learn which.
            if ticket is None or ticket.tenant != tenant:
                why = "forged" if ticket is not None else self._links.refusal(request.survey_token)
                self._intake.refuse(why, tenant)
                raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_INVITATION, "there is no such invitation")
            found, person_id, invitation_id = ticket.kind, ticket.person_id, ticket.invitation_id
            survey = self._programmes.of(tenant).named(ticket.survey)
        elif not (person_id and invitation_id):
            raise invalid("survey_token", "give the token, or person_id and invitation_id")
        await self._intake.submit(
            tenant=tenant,
            person_id=person_id,
            invitation_id=invitation_id,
            kind=found,
            score=request.score,
            comment=request.comment,
            answers=read_answers(request.answers, survey if survey and survey.kind is found else None),
            source=pb.RESPONSE_SOURCE_API,
            key=request.idempotency_key,
            wait=True,
            proven=bool(request.survey_token),
        )
        return pb.SubmitSurveyResponseResponse()

    async def GetScores(self, request: pb.GetScoresRequest, context: Context) -> pb.GetScoresResponse:  # noqa: N802 - the contract's name
        """Return every measure with n and interval, or withhold it; a page at a time."""
        tenant = current_tenant()
        return scores_api.scores(self._scores, self._programmes.counting(tenant), tenant, request)

    async def GetTrends(self, request: pb.GetTrendsRequest, context: Context) -> pb.GetTrendsResponse:  # noqa: N802 - the contract's name
        """Compare a window with the one before."""
        tenant = current_tenant()
        return scores_api.changes(self._scores, self._programmes.counting(tenant), tenant, request, self._clock())

    async def ListSurveyResponses(  # noqa: N802 - the contract's name
        self, request: pb.ListSurveyResponsesRequest, context: Context
    ) -> pb.ListSurveyResponsesResponse:
        """Return the newest responses first, as far as they are kept in memory."""
        wanted = Wanted(request.queue, request.agent_id, request.category, _at_most(request), request.kind)
        size = scores_api.page_size(request.page)
        found, cursor = self._responses.page(current_tenant(), wanted, size, request.page.cursor)
        response = pb.ListSurveyResponsesResponse(responses=[_view(listed) for listed in found])
        response.page.next_cursor = cursor
        return response

    async def WatchSurveyResponses(  # noqa: N802 - the contract's name
        self, request: pb.WatchSurveyResponsesRequest, context: Context
    ) -> AsyncIterator[pb.WatchSurveyResponsesResponse]:
        """Stream responses from now on, until the caller disconnects."""
        wanted = Wanted(request.queue, "", request.category, _at_most(request), request.kind)
        with self._responses.watching(current_tenant(), wanted) as watcher:
            # Send the headers now, so that the caller knows from when on no response is missed.
            await context.send_initial_metadata(())
            async for listed in watcher.stream():
                yield pb.WatchSurveyResponsesResponse(response=_view(listed))


def _at_most(request: pb.ListSurveyResponsesRequest | pb.WatchSurveyResponsesRequest) -> int | None:
    return request.score_at_most if request.HasField("score_at_most") else None


def _view(listed: ListedResponse) -> pb.ResponseView:
    view = pb.ResponseView(response=listed.response)
    view.occurred_at.FromMilliseconds(listed.occurred_at_ms)
    return view


def _require_key(key: str) -> None:
    if not key:
        raise invalid("idempotency_key", "is required: use the same one when you repeat the call")
    if len(key) > _KEY_CHARS:
        raise invalid("idempotency_key", f"must have at most {_KEY_CHARS} characters")
