"""Marks the replies that must not advertise, for the lane that sends them.

A reply of an agent goes to that lane directly, and only the lane of the identity knows the person's opt-outs. So the route of each
conversation says whether templates of the category MARKETING may be sent there.
"""

from dataclasses import replace

from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.effects import Effect
from services.ingest.domain.messages import Purpose, Route
from services.ingest.domain.preferences import forbids


def marked(before: Customer | None, after: Customer, out: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Return the effects with the mark on each route, and with the routes of the conversations whose mark has changed."""
    if before is not None and after.opt_outs != before.opt_outs:
        told = {each.conversation_id for each in out if isinstance(each, effects.RouteKnown)}
        out += tuple(
            effects.RouteKnown(each.conversation_id, each.route)
            for each in after.in_memory
            if each.route is not None
            and each.conversation_id not in told
            and _refuses(before, each.route) != _refuses(after, each.route)
        )
    if not after.opt_outs:
        return out
    return tuple(
        replace(each, route=replace(each.route, no_marketing=_refuses(after, each.route)))
        if isinstance(each, effects.RouteKnown)
        else each
        for each in out
    )


def _refuses(customer: Customer, route: Route) -> bool:
    return forbids(customer, Purpose.NOTICE, route.identity.channel)
