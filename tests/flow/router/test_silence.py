"""Silent customers, as records through the shard: the events of its timers, after a crash too, and the customer's message in time."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.router.lanes.shard import FEED
from tests.flow.router.test_shard import Shard, events

MINUTE = 60_000


class SilentShard(Shard):
    """One agent with room for one chat, who holds it and has replied; a customer waits."""

    def __init__(self) -> None:
        super().__init__()
        queue = config_pb2.Queue(name="q", warn_silent_after_ms=2 * MINUTE, close_silent_after_ms=3 * MINUTE)
        pool = config_pb2.Pool(name="default", session_lease_ms=100 * MINUTE, assignment_grace_ms=100 * MINUTE)
        agent = config_pb2.AgentProfile(agent_id="a")
        configuration = config_pb2.TenantConfiguration(
            tenant="acme", version=1, pools=[pool], queues=[queue], agents=[agent]
        )
        self.tell(activate_configuration=pb.ActivateConfiguration(configuration=configuration))
        self.sign_in()
        offer = next(e.offered for e in self.enqueue() if e.HasField("offered"))
        self.tell(accept_offer=pb.AcceptOffer(agent_id="a", offer_id=offer.offer_id))
        self.enqueue("next")
        self.began_ms = self.lane.now_ms
        reply = pb.RecordReply(agent_id="a", interaction_id="i", reply_id="r", awaits_outcome=True)
        self.tell(record_reply=reply)
        sent = pb.RecordReplyOutcome(interaction_id="i", agent_id="a", reply_id="r", state=pb.REPLY_STATE_SENT)
        self.tell(record_reply_outcome=sent)


@pytest.fixture
def shard() -> SilentShard:
    """Return the shard just after the reply was sent."""
    return SilentShard()


def test_the_timers_write_the_warning_the_end_and_the_next_offer(shard: SilentShard) -> None:
    """All of the end is one batch: the completion and the offer of the place. The desk loses the chat with the reason."""
    (warning,) = events(shard.lane.advance(2 * MINUTE))
    assert (warning.reason, warning.command_id) == ("CUSTOMER_SILENT", "")
    assert warning.customer_silent.closes_at_ms == warning.occurred_at_ms + MINUTE
    completed, offered = events(shard.lane.advance(MINUTE))
    assert (completed.reason, completed.completed.agent_id, completed.completed.disposition) == (
        "SILENT",
        "a",
        "silent",
    )
    assert (offered.offered.agent_id, offered.interaction.interaction_id) == ("a", "next")
    records = [pb.FeedRecord.FromString(send.value) for send in shard.lane.sent_to(FEED)]
    assert [r.ended.reason for r in records if r.HasField("ended")] == ["SILENT"]


def test_a_crash_between_the_two_changes_nothing(shard: SilentShard) -> None:
    """The new owner warns no second time. It gives customers a moment to be heard, because nothing was read meanwhile."""
    shard.lane.advance(2 * MINUTE)
    shard.lane.crash()
    told = [event for _ in range(3) for event in events(shard.lane.advance(MINUTE))]
    kinds = [str(event.WhichOneof("event")) for event in told if event.interaction.interaction_id == "i"]
    assert kinds == ["completed"]


@pytest.mark.parametrize("automatic", [types_pb2.AUTOMATIC_KIND_UNSPECIFIED, types_pb2.AUTOMATIC_KIND_AUTO_REPLY])
def test_a_message_of_the_customer_ends_the_silence_and_one_of_their_mailbox_does_not(
    shard: SilentShard, automatic: types_pb2.AutomaticKind.ValueType
) -> None:
    shard.lane.advance(2 * MINUTE)
    shard.tell(customer_messaged=pb.CustomerMessaged(interaction_id="i", message_id="m", automatic=automatic))
    told = [str(event.WhichOneof("event")) for event in events(shard.lane.advance(10 * MINUTE))]
    assert ("completed" in told) is bool(automatic)
