"""Which response to an invitation counts from now on: the first, or one that amends it in time."""

from dataclasses import replace

from services.feedback.domain.invitations import (
    MOST_REVISIONS,
    Amended,
    Counted,
    Effect,
    Given,
    Invitation,
    Keep,
    RecordResponse,
    RefusalReason,
    Refused,
    Stage,
)
from services.feedback.domain.responses import same, weigh
from services.feedback.domain.survey_memory import SurveyMemory
from services.policy.model.surveys import Programme


def record_response(memory: SurveyMemory, command: RecordResponse, programme: Programme, now_ms: int) -> list[Effect]:
    """Count a response, amend the one that counts, or refuse it."""
    invitation = memory.invitations.get(command.invitation_id)
    # Another tenant's invitation does not exist for this tenant; nor does an invitation that was withdrawn.
    if (
        invitation is None
        or invitation.tenant != command.tenant
        or invitation.stage is Stage.WITHDRAWN
        or command.person_id not in ("", invitation.subject.person_id)
    ):
        return [Refused(command.invitation_id, RefusalReason.UNKNOWN_INVITATION)]
    if command.command_id in (invitation.answered_by, *invitation.counted_commands):
        return []
    counted = _weigh(invitation, command, now_ms)
    if isinstance(counted, RefusalReason):
        return [Refused(command.invitation_id, counted, invitation.subject.channel)]
    unsent = invitation.stage is Stage.WAITING
    answered = replace(
        invitation,
        stage=Stage.ANSWERED,
        answered_by=command.command_id,
        answered_at_ms=invitation.answered_at_ms or now_ms,
        counted_commands=(*invitation.counted_commands, command.command_id),
        given=counted,
    )
    memory.keep(answered)
    before = invitation.given
    event: Effect = (
        Counted(answered, counted.score, counted.comment, counted.source, counted.answers, counted.categories)
        if before is None
        else Amended(answered, counted, before)
    )
    person = replace(memory.person(invitation.tenant, invitation.subject.person_id), responded_at_ms=now_ms)
    if unsent:
        person = person.without(invitation.invitation_id)
    return [event, Keep(answered), *memory.note(person, programme, now_ms)]


def _weigh(invitation: Invitation, command: RecordResponse, now_ms: int) -> Given | RefusalReason:
    """Return what counts from now on, or why nothing new does."""
    before = invitation.given
    if invitation.stage is Stage.ANSWERED:
        if now_ms >= invitation.closes_at_ms or before is None or before.revision >= MOST_REVISIONS:
            return RefusalReason.ALREADY_ANSWERED
    elif invitation.stage is Stage.EXPIRED or invitation.expires_at_ms <= now_ms:
        return RefusalReason.EXPIRED
    given = weigh(invitation, command)
    if isinstance(given, Given) and before is not None and same(given, before):
        return RefusalReason.REPEATED
    return given
