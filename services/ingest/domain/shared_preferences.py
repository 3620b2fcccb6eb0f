"""How the preferences of a person follow links: each identity of a person keeps a copy of all of them.

The home decides about changes and passes them on to its linked identities, so that decisions under their own keys, and the identities that are
unlinked later, have the same ones. The steps:

    link:    home ──its preferences, with the confirmed link──▶ identity ──BROUGHT──▶ home ──HELD──▶ all linked identities
    change:  home ──HELD──▶ all linked identities
    unlink:  identity ──LEFT──▶ home ──KEPT──▶ identity

An opt-out ends only when it is removed for the person, or the person is erased: a link joins both sides' opt-outs, and an unlinked
identity keeps them. When records cross on their way, an opt-out that was just removed may hold for longer, and none ends too early.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import IntakeDecision, Refused
from services.ingest.domain.effects import Effect, Share
from services.ingest.domain.messages import Link
from services.ingest.domain.opt_outs import OptOut, OptOutScope
from services.ingest.domain.reasons import Reason

MOST_MEMBERS: Final = 200
MOST_HELD: Final = 100
"""The most opt-outs of one person. More become fewer and wider ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPreferences:
    """Preferences from the lane of another identity."""

    request_id: str
    identity_id: str
    from_identity_id: str
    kind: Share
    opt_outs: tuple[OptOut, ...] = ()
    removed: tuple[OptOut, ...] = ()
    preferred_channel: str = ""


def union(*lists: Iterable[OptOut]) -> tuple[OptOut, ...]:
    """Return all opt-outs, each once, since the earliest time. Too many become fewer, and these forbid no less."""
    found: dict[tuple[str, OptOutScope], OptOut] = {}
    for each in (each for opt_outs in lists for each in opt_outs):
        known = found.get(_what(each))
        if known is None or each.since_ms < known.since_ms:
            found[_what(each)] = each
    if len(found) <= MOST_HELD:
        return tuple(found.values())
    widest: dict[str, OptOut] = {}
    for each in found.values():
        if each.channel not in widest or each.scope > widest[each.channel].scope:
            widest[each.channel] = each
    if len(widest) <= MOST_HELD:
        return tuple(widest.values())
    return (replace(max(widest.values(), key=lambda each: each.scope), channel=""),)


def _what(opt_out: OptOut) -> tuple[str, OptOutScope]:
    return opt_out.channel, opt_out.scope


def changed(
    customer: Customer, opt_outs: tuple[OptOut, ...], preferred_channel: str, request_id: str
) -> tuple[Customer, tuple[Effect, ...]]:
    """Return the customer with these preferences, and the effects for history and the linked identities; nothing, if they are the same."""
    removed = tuple(each for each in customer.opt_outs if _what(each) not in {_what(other) for other in opt_outs})
    if set(opt_outs) == set(customer.opt_outs) and preferred_channel == customer.preferred_channel:
        return customer, ()
    out: list[Effect] = [effects.PreferencesSet(customer.key, opt_outs, preferred_channel, request_id)]
    out += [
        effects.PreferencesShared(
            identity_id=member,
            from_identity_id=customer.key,
            kind=Share.HELD,
            request_id=request_id,
            opt_outs=opt_outs,
            removed=removed,
            preferred_channel=preferred_channel,
        )
        for member in customer.members
    ]
    return replace(customer, opt_outs=opt_outs, preferred_channel=preferred_channel), tuple(out)


def confirmed(home: Customer, link: Link) -> IntakeDecision | Refused:
    """Confirm a link under the home's key: the identity becomes one of its linked identities."""
    return _with_member(
        home,
        link.identity_id,
        effects.LinkConfirmed(link.identity_id, home.key, home.opt_outs, home.preferred_channel),
        "LINK_CONFIRMED",
    )


def joined(home: Customer, claimant_id: str, message_id: str) -> IntakeDecision | Refused:
    """Link a claimant who has proved that they are this person."""
    joins = effects.JoinConfirmed(claimant_id, home.key, message_id, home.opt_outs, home.preferred_channel)
    return _with_member(home, claimant_id, joins, "JOINED")


def _with_member(home: Customer, identity_id: str, told: Effect, note: str) -> IntakeDecision | Refused:
    members = home.members if identity_id in home.members else (*home.members, identity_id)
    if len(members) > MOST_MEMBERS:
        return Refused(Reason.TOO_MANY_LINKED, f"at most {MOST_MEMBERS} identities are linked to one home")
    return IntakeDecision(replace(home, members=members), (told,), note=note)


def linked(customer: Customer, link: Link, moved: Effect) -> IntakeDecision:
    """Link the identity to its home, or unlink it, under its own key. It brings its opt-outs, and it keeps them."""
    out = [moved]
    if customer.home not in ("", link.home_identity_id):
        out.append(_share(customer, customer.home, Share.LEFT, link.request_id))
    customer = replace(customer, home=link.home_identity_id)
    if not customer.home:
        return IntakeDecision(customer, tuple(out), note="UNLINKED")
    preferred = link.preferred_channel or customer.preferred_channel
    customer, told = changed(customer, union(link.opt_outs, customer.opt_outs), preferred, link.request_id)
    out += told
    if set(customer.opt_outs) != set(link.opt_outs) or preferred != link.preferred_channel:
        out.append(_share(customer, customer.home, Share.BROUGHT, link.request_id))
    return IntakeDecision(customer, tuple(out), note="LINKED")


def _share(customer: Customer, identity_id: str, kind: Share, request_id: str) -> effects.PreferencesShared:
    with_them = kind is not Share.LEFT
    return effects.PreferencesShared(
        identity_id=identity_id,
        from_identity_id=customer.key,
        kind=kind,
        request_id=request_id,
        opt_outs=customer.opt_outs if with_them else (),
        preferred_channel=customer.preferred_channel if with_them else "",
    )


def decide(customer: Customer | None, shared: SharedPreferences) -> IntakeDecision:
    """Decide about what the lane of another identity passes on."""
    if customer is None:
        return IntakeDecision(None, note="NOTHING_TO_DO")
    match shared.kind:
        case Share.BROUGHT if customer.home:
            return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
        case Share.BROUGHT:
            return _taken(customer, shared)
        case Share.HELD if shared.from_identity_id == customer.home:
            gone = {_what(each) for each in shared.removed}
            left = (each for each in customer.opt_outs if _what(each) not in gone)
            opt_outs = union(shared.opt_outs, left)
            customer, out = changed(customer, opt_outs, shared.preferred_channel, shared.request_id)
            return IntakeDecision(customer, out, note="PREFERENCES")
        case Share.LEFT:
            members = tuple(each for each in customer.members if each != shared.from_identity_id)
            keeps = _share(customer, shared.from_identity_id, Share.KEPT, shared.request_id)
            return IntakeDecision(replace(customer, members=members), (keeps,), note="PREFERENCES")
        case Share.KEPT:
            return _taken(customer, shared)
        case _:  # the identity was unlinked meanwhile: the answer to LEFT has what it keeps
            return IntakeDecision(customer, note="NOTHING_TO_DO")


def _taken(customer: Customer, shared: SharedPreferences) -> IntakeDecision:
    """Add opt-outs from another identity. The identity's own preferred channel stays."""
    preferred = customer.preferred_channel or shared.preferred_channel
    customer, out = changed(customer, union(customer.opt_outs, shared.opt_outs), preferred, shared.request_id)
    if out and customer.home:  # linked again meanwhile
        out = (*out, _share(customer, customer.home, Share.BROUGHT, shared.request_id))
    return IntakeDecision(customer, out, note="PREFERENCES")
