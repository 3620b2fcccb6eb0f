"""I11: no record and no message crosses tenants.

- The tenant in a record, in its header and at the beginning of its key are the same. (A marker of a lane belongs to no
  tenant: it names none and has no such header.)
- All records about one interaction, conversation, delivery or invitation name one tenant.
- A message with a mark, and its arrival, belong to the tenant of the client that sent it.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.history.history import History
from tests.chaos.history.model import Violation
from tests.chaos.history.topics import Logged

NAME = "I11"
KEYED_BY_TENANT: Final = frozenset(
    {
        "inbound.v1",
        "conversations.v1",
        "outbound.v1",
        "deliveries.v1",
        "routing.commands.v1",
        "routing.events.v1",
        "sla.events.v1",
        "feedback.commands.v1",
        "feedback.responses.v1",
    }
)
"""Topics whose keys begin with the tenant and a slash (docs/topics.md)."""


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    owners: dict[str, set[str]] = defaultdict(set)
    for logged in history.topics.all():
        if logged.record.topic in KEYED_BY_TENANT:
            yield from _one_tenant(logged)
            for subject in _subjects(logged.value):
                owners[subject].add(logged.value.tenant)
    for subject, tenants in owners.items():
        if len(tenants) > 1:
            yield Violation(NAME, "crossed", subject, f"records of {', '.join(sorted(tenants))}")
    yield from _clients(history)


def _one_tenant(logged: Logged[Any]) -> Iterator[Violation]:
    tenant = logged.value.tenant
    if not tenant and not logged.header("tenant"):
        return
    in_key = (logged.record.key or b"").decode(errors="replace").partition("/")[0]
    for place, found in (("header", logged.header("tenant")), ("key", in_key)):
        if found != tenant:
            subject = "{}/{}@{}".format(*logged.record.place)
            yield Violation(NAME, "crossed", subject, f"a record of {tenant} has the {place} {found or 'of no tenant'}")


def _subjects(value: Any) -> Iterator[str]:
    for name in ("interaction_id", "conversation_id", "delivery_id", "person_id", "identity_id"):
        for holder in (value, getattr(value, "interaction", None), getattr(value, "message", None)):
            if found := getattr(holder, name, ""):
                yield f"{name.removesuffix('_id')} {found}"


def _clients(history: History) -> Iterator[Violation]:
    sent = {message.mark: message.tenant for message in history.clients.acknowledged}
    sent |= {reply.mark: reply.tenant for reply in history.clients.replies}
    for mark, records in history.messages.items():
        for record in records:
            if mark in sent and record.value.tenant != sent[mark]:
                yield Violation(NAME, "crossed", f"message {mark}", f"of {sent[mark]} is with {record.value.tenant}")
    for arrival in history.clients.arrivals:
        if sent.get(arrival.mark, arrival.tenant) != arrival.tenant:
            detail = f"of {sent[arrival.mark]} arrived at {arrival.tenant}"
            yield Violation(NAME, "crossed", f"message {arrival.mark}", detail)
