"""I4: each offer has exactly one answer (accepted, declined, expired or revoked), within its time-out.

An offer is answered by `assigned` with its id, or by `offer_ended`. It does not expire before its time-out, and it is
answered at most `Bounds.offer_late_ms` after it: with faults, the longest outage of the router.
"""

from collections import defaultdict
from collections.abc import Iterator

from chapar.router.v1 import records_pb2 as router_pb2
from tests.chaos.history.history import History
from tests.chaos.history.model import Violation

NAME = "I4"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    offers: dict[str, router_pb2.RoutingEvent] = {}
    answers: dict[str, list[router_pb2.RoutingEvent]] = defaultdict(list)
    for events in history.interactions.values():
        for event in events:
            if offer_id := event.value.offered.offer_id:
                if offer_id in offers:
                    yield Violation(NAME, "doubled", f"offer {offer_id}", "it was made twice")
                offers[offer_id] = event.value
            elif offer_id := event.value.assigned.offer_id or event.value.offer_ended.offer_id:
                answers[offer_id].append(event.value)
    for offer_id, offered in offers.items():
        yield from _judge(history, offer_id, offered, answers.pop(offer_id, []))
    for offer_id in answers:
        yield Violation(NAME, "no offer", f"offer {offer_id}", "an offer that was never made was answered")


def _judge(
    history: History, offer_id: str, offered: router_pb2.RoutingEvent, answers: list[router_pb2.RoutingEvent]
) -> Iterator[Violation]:
    subject = f"offer {offer_id}"
    latest_ms = offered.offered.expires_at_ms + history.bounds.offer_late_ms
    if not answers and history.read_at_ms > latest_ms:
        yield Violation(NAME, "no answer", subject, f"to {offered.offered.agent_id}")
    if len(answers) > 1:
        yield Violation(NAME, "doubled", subject, f"it has {len(answers)} answers")
    for answer in answers:
        given_to = answer.assigned.agent_id or answer.offer_ended.agent_id
        if given_to != offered.offered.agent_id:
            yield Violation(NAME, "wrong agent", subject, f"{offered.offered.agent_id} got it, {given_to} answered")
        early_ms = offered.offered.expires_at_ms - answer.occurred_at_ms
        if answer.offer_ended.end == router_pb2.OFFER_END_EXPIRED and early_ms > 0:
            yield Violation(NAME, "early", subject, f"{early_ms} ms")
        if answer.occurred_at_ms > latest_ms:
            yield Violation(NAME, "late", subject, f"{answer.occurred_at_ms - offered.offered.expires_at_ms} ms")
