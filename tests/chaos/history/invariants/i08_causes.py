"""I8: every output cites an input that exists and was committed.

| output | its input |
|---|---|
| routing event with a command | the command |
| interaction in the router | a command with `enqueue` |
| customer's message in a conversation | the message in inbound.v1 |
| agent's message in a conversation, delivery, arrival at the customer | the request to send |
| interaction opened by a message | the message in the conversation |
| SLA event | routing events of the interaction |
| response counted | the command that carried it |
| confirmation to a desk | the event that it confirms |

An answer to a client counts as output: a confirmation before the commit would be one without its event.
"""

from collections.abc import Iterator

from chapar.common.v1 import types_pb2
from tests.chaos.history.history import History
from tests.chaos.history.model import Violation

NAME = "I8"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    yield from _routing(history)
    yield from _conversations(history)
    yield from _deliveries(history)
    yield from _followers(history)
    yield from _desks(history)


def _without(subject: str, cause: str) -> Violation:
    return Violation(NAME, "no input", subject, f"there is no {cause}")


def _routing(history: History) -> Iterator[Violation]:
    commands = {command.value.command_id for command in history.topics.commands}
    enqueued = {command.value.enqueue.interaction.interaction_id for command in history.topics.commands}
    for event in history.topics.routing:
        if event.value.command_id and event.value.command_id not in commands:
            yield _without(f"event {event.value.event_id}", f"command {event.value.command_id}")
    for interaction_id in history.interactions.keys() - enqueued:
        yield _without(f"interaction {interaction_id}", "command that enqueues it")


def _conversations(history: History) -> Iterator[Violation]:
    received = {record.value.message.message_id for record in history.topics.inbound}
    known = set[str]()
    for record in history.topics.conversations:
        if record.value.WhichOneof("record") != "message":
            continue
        message = record.value.message
        known.add(message.message_id)
        if message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER and message.message_id not in received:
            yield _without(f"message {message.message_id}", "record of inbound.v1")
        if message.author_kind == types_pb2.ACTOR_KIND_AGENT and message.message_id not in history.requests:
            yield _without(f"message {message.message_id}", "request to send")
    for message_id, interactions in history.opened_by.items():
        if message_id not in known:
            yield _without(f"interaction {interactions[0]}", f"message {message_id}")


def _deliveries(history: History) -> Iterator[Violation]:
    for record in history.topics.deliveries:
        if record.value.delivery_id not in history.requests:
            yield _without(f"delivery {record.value.delivery_id}", "request to send")
    for arrival in history.clients.arrivals:
        if arrival.mark.startswith("#r") and arrival.mark not in history.delivery_of_mark:
            yield _without(f"arrival of {arrival.mark}", "request to send")


def _followers(history: History) -> Iterator[Violation]:
    for event in history.topics.sla:
        if event.value.interaction_id not in history.interactions:
            yield _without(f"SLA event {event.value.event_id}", f"interaction {event.value.interaction_id}")
    given = {command.value.response.invitation_id for command in history.topics.feedback_commands}
    for record in history.topics.responses:
        if record.value.HasField("answered") and record.value.answered.invitation_id not in given:
            yield _without(f"response to {record.value.answered.invitation_id}", "command that carried it")


def _desks(history: History) -> Iterator[Violation]:
    accepted, declined, completed, replied = set[str](), set[str](), set[str](), set[str]()
    for event in history.topics.routing:
        accepted.add(event.value.assigned.offer_id)
        declined.add(event.value.offer_ended.offer_id)
        replied.add(event.value.agent_replied.reply_id)
        if event.value.WhichOneof("event") == "completed":
            completed.add(event.value.interaction.interaction_id)
    recorded = {"accept": accepted, "decline": declined, "complete": completed}
    for command in history.clients.commands:
        if command.subject not in recorded[command.kind]:
            yield _without(f"{command.kind} {command.subject} of {command.agent_id}", "event of it")
    for reply in history.clients.replies:
        request = history.requests.get(history.delivery_of_mark.get(reply.mark, ""))
        if request is None or request.value.request.request_id not in replied:
            yield _without(f"reply {reply.mark}", "event of it")
