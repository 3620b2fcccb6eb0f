"""Builders with default values."""

from typing import Any

from services.chassis.ids import derive
from services.feedback.domain.invitation_policy import InvitationPolicy, ProgrammeOf
from services.feedback.domain.invitations import Consider, Effect, Event, Invite
from services.policy.model.surveys import Programme, Subject, Survey, SurveyKind

NOW = 1_700_000_000_000
HOUR = 3_600_000
TENANT = "parsa"


def a_subject(number: int = 1, **fields: Any) -> Subject:
    options: dict[str, Any] = {
        "interaction_id": f"interaction-{number}",
        "conversation_id": f"conversation-{number}",
        "person_id": f"person-{number}",
        "identity_id": f"identity-{number}",
        "channel": "telegram",
        "queue": "support",
        "agent_id": "ada",
        "language": "fa",
    }
    return Subject(**{**options, **fields})


def a_survey(**fields: Any) -> Survey:
    options: dict[str, Any] = {"name": "after-contact", "kind": SurveyKind.CSAT}
    return Survey(**{**options, **fields})


def a_programme(*surveys: Survey, **fields: Any) -> Programme:
    return Programme(surveys or (a_survey(),), **fields)


def a_programme_of(*surveys: Survey, **fields: Any) -> ProgrammeOf:
    """Return the programme for every tenant."""
    programme = a_programme(*surveys, **fields)
    return lambda _tenant: programme


def a_policy() -> InvitationPolicy:
    return InvitationPolicy(derive)


def considered(number: int = 1, at_ms: int = NOW, **fields: Any) -> Consider:
    return Consider(f"consider-{number}", TENANT, a_subject(number, **fields), at_ms)


def invited(number: int = 1, survey: str = "", **fields: Any) -> Invite:
    return Invite(f"invite-{number}", TENANT, a_subject(number, **fields), survey)


def events_of(effects: list[Effect]) -> list[Event]:
    """Return the events among the effects, without those that only change the state."""
    return [effect for effect in effects if isinstance(effect, Event)]
