"""Commands of agents and supervisors other than answers to offers, as records through the shard; and the events that follow."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.router.lanes.shard import FEED
from tests.flow.router.test_shard import Shard, events

SUPERVISOR, AGENT = types_pb2.ACTOR_KIND_SUPERVISOR, types_pb2.ACTOR_KIND_AGENT


class Team(Shard):
    """Two agents and two queues; each agent has room for one interaction."""

    def __init__(self) -> None:
        super().__init__()
        rule = config_pb2.OverflowRule(
            name="rush", when=config_pb2.OVERFLOW_TRIGGER_LENGTH, threshold=2, queue="other", set_priority=7
        )
        configuration = config_pb2.TenantConfiguration(
            tenant="acme",
            version=1,
            queues=[config_pb2.Queue(name="q", overflow=[rule]), config_pb2.Queue(name="other")],
            agents=[
                config_pb2.AgentProfile(agent_id="a", skills={"french": 5}, queues=["q"]),
                config_pb2.AgentProfile(agent_id="b", queues=["q"]),
            ],
        )
        self.tell(activate_configuration=pb.ActivateConfiguration(configuration=configuration))

    def at_desk(self, agent_id: str, state: pb.AgentState.ValueType = pb.AGENT_STATE_AVAILABLE) -> None:
        """Sign an agent in."""
        self.tell(sign_in=pb.SignIn(agent_id=agent_id, session_id=f"s-{agent_id}", state=state))

    def held(self, agent_id: str, interaction_id: str) -> None:
        """Offer a new interaction to an agent, who accepts it."""
        offer = next(e.offered for e in self.enqueue(interaction_id) if e.HasField("offered"))
        assert offer.agent_id == agent_id
        self.tell(accept_offer=pb.AcceptOffer(agent_id=agent_id, offer_id=offer.offer_id))

    def offered(self) -> list[str]:
        """Return the interactions that were offered so far, in order."""
        return [e.interaction.interaction_id for e in events(self.lane.sent) if e.HasField("offered")]

    def answer(self) -> str:
        """Return the reason of the newest result; empty when it was carried out."""
        results = [pb.FeedRecord.FromString(send.value) for send in self.lane.sent_to(FEED)]
        return next(r.result.reason for r in reversed(results) if r.HasField("result") and r.result.command_id)


@pytest.fixture
def team() -> Team:
    """Return a team in which no agent has a session yet."""
    return Team()


def names(told: list[pb.RoutingEvent]) -> list[str]:
    """Return the kinds of events about interactions."""
    return [str(e.WhichOneof("event")) for e in told if e.HasField("interaction")]


def test_a_supervisor_can_exceed_capacity_and_this_is_counted(team: Team) -> None:
    """The assignment is first refused with the reason; then it is made over capacity, without an offer."""
    team.at_desk("a")
    team.held("a", "one")
    team.enqueue("two")
    order = pb.AssignInteraction(interaction_id="two", agent_id="a")
    assert team.tell(actor_kind=SUPERVISOR, assign_interaction=order) == []
    assert team.answer() == "NO_CAPACITY"
    order.force = True
    (event,) = team.tell(actor_kind=SUPERVISOR, assign_interaction=order)
    assert (event.assigned.agent_id, event.assigned.offer_id, event.assigned.over_capacity) == ("a", "", True)
    assert team.metrics.value("chapar_router_over_capacity_total", "acme", "q") == 1
    assert team.metrics.value("chapar_router_refusals_total", "assign_interaction", "NO_CAPACITY") == 1


def test_an_agent_picks_from_the_queue(team: Team) -> None:
    """It is refused while the agent is away; then they get it without an offer, and an offer made to them in the meantime is revoked."""
    team.at_desk("a", pb.AGENT_STATE_AWAY)
    team.enqueue("one")
    pick = pb.AssignInteraction(interaction_id="one", agent_id="a")
    team.tell(actor_kind=AGENT, assign_interaction=pick)
    assert team.answer() == "AWAY"
    team.tell(set_agent_state=pb.SetAgentState(agent_id="a", state=pb.AGENT_STATE_AVAILABLE))
    event = next(e for e in team.tell(actor_kind=AGENT, assign_interaction=pick) if e.HasField("assigned"))
    assert (event.assigned.agent_id, event.assigned.offer_id, event.reason) == ("a", "", "PICKED")


def test_a_warm_transfer_can_be_taken_back(team: Team) -> None:
    """The transferring agent holds it in the meantime and may reply; the colleague's offer is revoked by the recall."""
    team.at_desk("a")
    team.held("a", "one")
    team.at_desk("b")
    transfer = pb.TransferInteraction(agent_id="a", interaction_id="one", queue="q", labels={"order": "17"}, warm=True)
    told = team.tell(transfer_interaction=transfer)
    offered = next(e for e in told if e.HasField("offered"))
    assert (offered.offered.agent_id, dict(offered.interaction.labels)["order"]) == ("b", "17")
    reply = pb.RecordReply(agent_id="a", interaction_id="one", reply_id="r")
    assert names(team.tell(record_reply=reply)) == ["agent_replied"]
    recall = team.tell(recall_transfer=pb.RecallTransfer(agent_id="a", interaction_id="one"))
    assert "offer_ended" in names(recall)
    complete = pb.CompleteInteraction(agent_id="a", interaction_id="one")
    assert "completed" in names(team.tell(complete_interaction=complete))


def test_a_transfer_to_requirements_finds_an_agent_who_meets_them(team: Team) -> None:
    """Agent b, who lacks the skill, transfers to agent a, who has it."""
    team.at_desk("b")
    team.held("b", "one")
    team.at_desk("a")
    transfer = pb.TransferInteraction(agent_id="b", interaction_id="one", queue="q", replace_requirements=True)
    transfer.requirements.add(attribute="french", number=5)
    offered = next(e.offered for e in team.tell(transfer_interaction=transfer) if e.HasField("offered"))
    assert offered.agent_id == "a"


def test_a_callback_keeps_its_place_and_is_not_offered_before_its_time(team: Team) -> None:
    """Two wait; the first asks to be called in a minute: the second is served now, the first as soon as its time has come."""
    team.enqueue("one")
    team.lane.advance(1_000)
    team.tell(
        enqueue=pb.Enqueue(interaction=pb.InteractionAttributes(interaction_id="two", conversation_id="c2", queue="q"))
    )
    at = team.lane.now_ms + 60_000
    team.tell(request_callback=pb.RequestCallback(interaction_id="one", at_ms=at))
    assert team.answer() == ""
    team.at_desk("a")
    (offered,) = [e for e in events(team.lane.sent) if e.HasField("offered")]
    assert offered.interaction.interaction_id == "two"
    team.tell(accept_offer=pb.AcceptOffer(agent_id="a", offer_id=offered.offered.offer_id))
    team.lane.advance(59_999)
    team.at_desk("b")
    assert team.offered() == ["two"]
    team.lane.advance(1)
    assert team.offered() == ["two", "one"]


def test_a_command_with_an_outdated_epoch_is_refused(team: Team) -> None:
    """STALE_EPOCH, and nothing changes; with the newest epoch it is carried out."""
    (queued,) = team.enqueue("one")
    change = pb.Reprioritise(interaction_id="one", add=5)
    (changed,) = team.tell(actor_kind=SUPERVISOR, reprioritise=change, expected_epoch=queued.epoch)
    assert changed.interaction.priority == 5
    assert team.tell(actor_kind=SUPERVISOR, reprioritise=change, expected_epoch=queued.epoch) == []
    assert team.answer() == "STALE_EPOCH"


def test_an_overflow_rule_moves_the_interaction_that_exceeds_the_length(team: Team) -> None:
    """The third that waits goes to the other queue with another priority; rule and queue are in the event, and counted."""
    team.enqueue("one")
    team.enqueue("two")
    told = team.enqueue("three")
    overflowed = next(e for e in told if e.HasField("overflowed"))
    assert overflowed.overflowed == pb.InteractionOverflowed(from_queue="q", rule="rush")
    assert (overflowed.interaction.queue, overflowed.interaction.priority) == ("other", 7)
    assert team.metrics.value("chapar_router_overflowed_total", "acme", "q", "LENGTH") == 1


def test_an_interaction_with_a_start_time_is_scheduled_and_then_queued(team: Team) -> None:
    """Attributes contain the time; the log has an event when it is scheduled and one when it is queued."""
    at = team.lane.now_ms + 60_000
    attributes = pb.InteractionAttributes(interaction_id="one", conversation_id="c", queue="q", start_at_ms=at)
    (scheduled,) = team.tell(enqueue=pb.Enqueue(interaction=attributes))
    assert scheduled.scheduled.start_at_ms == at
    assert names(events(team.lane.advance(60_000))) == ["queued"]
    assert team.metrics.value("chapar_router_scheduled_total", "acme", "q") == 1
