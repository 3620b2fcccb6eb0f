"""How a person wants to be reached: opt-outs, and the channel on which a conversation begins. They hold for all identities of the
person, and are kept under the key of their home.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.ingest.domain import effects, shared_preferences
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import IntakeDecision, Refused
from services.ingest.domain.messages import Purpose, Route
from services.ingest.domain.opt_outs import OptOut, OptOutScope
from services.ingest.domain.reasons import Reason

MOST_OPT_OUTS: Final = 20
MOST_ROUTES: Final = 8
"""The most channels of one person whose routes are remembered."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person, or a service for them, asks for. It replaces what was known."""

    request_id: str
    opt_outs: tuple[OptOut, ...]
    preferred_channel: str


def decide(customer: Customer | None, asked: Preferences) -> IntakeDecision | Refused:
    """Decide about preferences under the identity's key."""
    if customer is None:
        return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
    if customer.home:
        return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
    opt_outs = tuple(_held(customer, each) for each in dict.fromkeys(asked.opt_outs[:MOST_OPT_OUTS]))
    customer, out = shared_preferences.changed(customer, opt_outs, asked.preferred_channel, asked.request_id)
    return IntakeDecision(customer, out, note="PREFERENCES")


def _held(customer: Customer, asked: OptOut) -> OptOut:
    """Return the opt-out as it is kept: one that holds already keeps its time and its actor."""
    known = {(each.channel, each.scope): each for each in customer.opt_outs}
    return known.get((asked.channel, asked.scope), asked)


def forbids(customer: Customer, purpose: Purpose, channel: str) -> bool:
    """Return whether the person does not want messages of this purpose on this channel. Replies of agents always leave."""
    least = _LEAST.get(purpose)
    if least is None:
        return False
    return any(each.scope >= least and each.channel in ("", channel) for each in customer.opt_outs)


_LEAST: Final[Mapping[Purpose, OptOutScope]] = {
    Purpose.SURVEY: OptOutScope.SURVEYS,
    Purpose.NOTICE: OptOutScope.PROACTIVE,
    Purpose.ACKNOWLEDGEMENT: OptOutScope.ALL_BUT_REPLIES,
}
"""The weakest opt-out that forbids a purpose: each scope includes the ones before it."""


def with_route(customer: Customer, route: Route) -> Customer:
    """Return the customer with a newer route. The route of another channel is remembered."""
    known = customer.route
    if known is None or known.identity.channel == route.identity.channel:
        return replace(customer, route=route)
    routes = {
        name: each
        for name, each in customer.routes.items()
        if name not in (known.identity.channel, route.identity.channel)
    }
    routes[known.identity.channel] = known
    for oldest in list(routes)[:-MOST_ROUTES]:
        del routes[oldest]
    return replace(customer, route=route, routes=routes)


def beginning_route(customer: Customer) -> Route | None:
    """Return the route by which Chapar begins a conversation: that of the preferred channel, or the newest."""
    return customer.routes.get(customer.preferred_channel, customer.route)
