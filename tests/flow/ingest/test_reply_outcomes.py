"""What becomes of an agent's reply reaches the router."""

from chapar.router.v1 import records_pb2 as router
from services.ingest.domain.deliveries import Outcome
from tests.flow.ingest.test_delivery_reports import Chat
from tests.flow.ingest.world import World


def outcomes(world: World) -> list[tuple[str, str, bool]]:
    """Return what the router learns of replies: state, failure, retryable."""
    found = [c.record_reply_outcome for c in world.commands if c.WhichOneof("command") == "record_reply_outcome"]
    return [(router.ReplyState.Name(o.state).removeprefix("REPLY_STATE_"), o.failure, o.retryable) for o in found]


def test_the_router_learns_what_became_of_a_reply() -> None:
    """When it was sent, and again when it then fails or arrives after all; a read message says nothing new."""
    chat = Chat()
    chat.world.reply(chat.conversation, "hello", "r1", pool="main", interaction_id="i-1")
    assert outcomes(chat.world) == []
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.1",))
    chat.report("failed", errors=[{"code": 131056}])
    chat.report("delivered")
    chat.report("read")
    assert outcomes(chat.world) == [("SENT", "", False), ("FAILED", "WHATSAPP_131056", True), ("SENT", "", False)]
    command = chat.world.commands[-1]
    outcome = command.record_reply_outcome
    assert (command.pool, outcome.interaction_id, outcome.agent_id, outcome.reply_id) == ("main", "i-1", "sara", "r1")
    assert outcome.delivery_id == chat.world.attempts.jobs[-1].delivery.delivery_id


def test_the_router_learns_that_a_reply_may_not_have_been_sent() -> None:
    """After a crash; and then that it was."""
    chat = Chat(orphan_grace_ms=30_000)
    chat.world.reply(chat.conversation, "hello", "r1", pool="main", interaction_id="i-1")
    chat.world.crash()
    chat.world.wait(60_000)
    chat.report("delivered")
    assert outcomes(chat.world) == [("UNKNOWN", "OWNER_LOST", False), ("SENT", "", False)]


def test_the_router_learns_nothing_of_other_messages() -> None:
    """Acknowledgements, surveys and messages of programs belong to no agent."""
    chat = Chat()
    chat.sent()
    assert outcomes(chat.world) == []
