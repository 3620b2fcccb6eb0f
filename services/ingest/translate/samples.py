"""States like those of an account, without personal data: what the packed states of its customers are compressed against
(`lanes.packer`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from services.ingest.domain.channel_rules import channel_rules
from services.ingest.domain.conversations import Conversation, Customer, OpenSurvey
from services.ingest.domain.deliveries import Delivery, SenderConversation, Status
from services.ingest.domain.delivery_facts import DeliveryFact, DeliveryState
from services.ingest.domain.messages import Identity, Route, SendRequest
from services.ingest.domain.origin import OriginProof

_ID: Final = "00000000-0000-5000-8000-000000000000"
_AT_MS: Final = 1_800_000_000_000
_Account = tuple[str, str, str]
"""Tenant, channel, account."""


_Sample = tuple[str, Sequence[bytes]]
"""Name and encoded values of states."""


def customers(account: _Account, encode: Callable[[Customer], bytes]) -> _Sample:
    """Return customers of an account."""
    route = _route(account)
    conversation = Conversation(conversation_id=_ID, opened_at_ms=_AT_MS, last_at_ms=_AT_MS, language="en", route=route)
    invited = OpenSurvey(
        invitation_id=_ID, kind="csat", expires_at_ms=_AT_MS, person_id=_ID, interaction_id=_ID, amend_for_ms=_AT_MS
    )
    customer = Customer(
        key=_ID,
        identity=route.identity,
        last_seen_ms=_AT_MS,
        language="en",
        conversations=1,
        conversation=conversation,
        route=route,
        surveys=(invited,),
        proven=True,
        owned_interactions={_ID: (_ID,)},
    )
    # The commonest last: near parts are shorter to refer to.
    return f"{account[0]}/{_ID}", (encode(customer), encode(replace(customer, conversation=None, surveys=())))


def conversations(account: _Account, encode: Callable[[SenderConversation], bytes]) -> _Sample:
    """Return a conversation of an account, as the sender keeps it."""
    made = SenderConversation(conversation_id=_ID, tenant=account[0], active_at_ms=_AT_MS, route=_route(account))
    rules = channel_rules(account[1])
    if rules is None or not rules.reports:
        return made.place, (encode(made),)
    request = SendRequest(request_id=_ID, conversation_id=_ID, interaction_id=_ID, author_kind=2)
    sent = DeliveryFact(0, DeliveryState.SENT, _AT_MS)
    delivery = Delivery(
        delivery_id=_ID,
        request=request,
        asked_at_ms=_AT_MS,
        status=Status.SETTLED,
        due_ms=_AT_MS,
        number=1,
        tried=1,
        facts=(sent,),
        recorded=True,
    )
    return made.place, (encode(replace(made, settled=(delivery,))), encode(made))


def _route(account: _Account) -> Route:
    return Route(Identity(_ID, *account, ""), {"chat_id": ""}, "", _AT_MS, OriginProof.PROVIDER_SIGNATURE)
