"""Values of the intake and sending cores with defaults."""

from typing import Any

from services.chassis.ids import derive
from services.ingest.domain.messages import Identity, Message, Route, SendRequest
from services.policy.model.intake import AccountPolicy, TenantPolicy
from services.policy.model.rules import RuleInput, Verdict

TENANT = "acme"
NOW = 1_700_000_000_000


def never(when: str, given: RuleInput) -> Verdict:
    """Conditions never hold, except "yes"; "fails" fails."""
    return {"yes": Verdict.HOLDS, "fails": Verdict.FAILED}.get(when, Verdict.DOES_NOT_HOLD)


def a_policy(**changes: Any) -> TenantPolicy:
    """One queue, no rules, a web chat account that acknowledges."""
    values: dict[str, Any] = {
        "tenant": TENANT,
        "version": 3,
        "default_language": "en",
        "accounts": {("webchat", "site"): AccountPolicy(channel="webchat", account="site", acknowledge=True)},
        "pools": {"general": "main"},
        "rules": (),
        "condition": never,
    }
    return TenantPolicy(**{**values, **changes})


def an_identity(native_id: str = "v1", channel: str = "webchat", account: str = "site") -> Identity:
    """A visitor."""
    return Identity(derive(TENANT, channel, account, native_id), TENANT, channel, account, native_id)


def a_message(text: str = "hello", native: str = "m1", **changes: Any) -> Message:
    """A text message of a visitor."""
    who = changes.pop("identity", an_identity())
    revision = int(changes.get("revision", 0))
    values: dict[str, Any] = {
        "message_id": derive(who.identity_id, native, str(revision)),
        "identity": who,
        "native_message_id": native,
        "text": text,
        "language": "en",
    }
    return Message(**{**values, **changes})


def a_route(channel: str = "telegram", last_ms: int = NOW, **context: str) -> Route:
    """A route by which a customer is answered."""
    return Route(an_identity("42", channel, "main"), {"chat_id": "42", **context}, "", last_ms)


def a_request(text: str = "hi", request_id: str = "r1", **changes: Any) -> SendRequest:
    """An agent's reply."""
    return SendRequest(request_id=request_id, text=text, author_kind=2, author_id="sara", **changes)
