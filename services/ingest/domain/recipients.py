"""To whom a mail is sent: the customer alone, unless an agent or a caller has chosen other addresses. Never ourselves.

The chosen addresses are those of this one mail. They move no route: the next mail goes to the customer again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.ingest.domain.messages import Route, SendRequest
from services.ingest.domain.reasons import Reason
from services.ingest.domain.reply_routes import REPLY_TO

OUR_ADDRESS = "to"
"""The key of an e-mail's reply context with our own address."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """The addresses of one mail, each once."""

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()

    @property
    def everyone(self) -> tuple[str, ...]:
        """Return all addresses, in order."""
        return (*self.to, *self.cc)


def customer_address(route: Route) -> str:
    """Return where the customer is answered: the Reply-To as the edge accepted it, or the address of the identity."""
    return route.context.get(REPLY_TO) or route.identity.native_id


def recipients(route: Route, to: Iterable[str], cc: Iterable[str], ours: Iterable[str] = ()) -> Recipients:
    """Return the recipients of a mail. Our own addresses (`ours`, and the one that got the customer's mail) are left out,
    so `to` may be empty: then the mail can't be sent."""
    known = {each.lower() for each in (*ours, route.context.get(OUR_ADDRESS, ""))}
    taken: set[str] = set()

    def kept(addresses: Iterable[str]) -> tuple[str, ...]:
        found = []
        for each in addresses:
            name = each.lower()
            if name and without_tag(name) not in known and name not in known and name not in taken:
                taken.add(name)
                found.append(each)
        return tuple(found)

    first = kept(tuple(to) or (customer_address(route),))
    return Recipients(first, kept(cc))


def recipient_problem(request: SendRequest, route: Route) -> str:
    """Return why a message can't be sent to the recipients that were chosen for it; empty when it can."""
    if route.identity.channel == "email":
        return "" if recipients(route, request.to, request.cc).to else Reason.OWN_ADDRESS
    return Reason.RECIPIENTS_NOT_SUPPORTED if request.to or request.cc else ""


def without_tag(address: str) -> str:
    """Return the address without a plus-tag: our mailboxes take any."""
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
