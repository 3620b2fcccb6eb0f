"""The checker of histories knows that an interaction takes less while its customer is awaited, from the events alone."""

from collections.abc import Callable
from typing import Any

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from tests.chaos.history.invariants.i03_capacity import _judge

Story = Callable[["Log"], None]


class Log:
    """Makes events, one second apart."""

    def __init__(self) -> None:
        self.events: list[pb.RoutingEvent] = []

    def add(self, interaction_id: str, *, reason: str = "", later_ms: int = 1_000, **event: Any) -> None:
        """Add an event of an interaction."""
        at_ms = self.events[-1].occurred_at_ms + later_ms if self.events else 1_000
        made = pb.RoutingEvent(occurred_at_ms=at_ms, reason=reason, **event)
        made.interaction.interaction_id, made.interaction.channel = interaction_id, "webchat"
        self.events.append(made)

    def offered(self, interaction_id: str, **more: Any) -> None:
        """Offer an interaction to lim."""
        self.add(interaction_id, offered=pb.InteractionOffered(agent_id="lim", offer_id=f"o-{interaction_id}"), **more)

    def assigned(self, interaction_id: str) -> None:
        """Let lim accept it."""
        self.add(interaction_id, assigned=pb.InteractionAssigned(agent_id="lim", offer_id=f"o-{interaction_id}"))

    def held(self, *interactions: str) -> None:
        """Give interactions to lim."""
        for interaction_id in interactions:
            self.offered(interaction_id)
            self.assigned(interaction_id)

    def replied(self, interaction_id: str, reply_id: str = "r", *, awaits: bool = False) -> None:
        """Let lim reply."""
        self.add(
            interaction_id, agent_replied=pb.AgentReplied(agent_id="lim", reply_id=reply_id, awaits_outcome=awaits)
        )

    def outcome(self, interaction_id: str, state: "pb.ReplyState.ValueType", reply_id: str = "r") -> None:
        """Report what became of a reply."""
        self.add(interaction_id, reply_outcome=pb.ReplyOutcomeRecorded(agent_id="lim", reply_id=reply_id, state=state))

    def wrote(self, interaction_id: str, *, automatic: int = 0, **more: Any) -> None:
        """Let the customer write."""
        message = pb.CustomerMessageRecorded(message_id="m")
        message.automatic = automatic  # type: ignore[assignment]  # any kind
        self.add(interaction_id, customer_message_recorded=message, **more)


def verdicts(story: Story) -> list[str]:
    """Return what the checker finds: lim has room for two chats, and a silent one takes nothing."""
    log = Log()
    log.held("one", "two")
    story(log)
    channel = config_pb2.ChannelCapacity(channel="webchat", weight=10, weight_while_customer_awaited=0)
    profile = config_pb2.CapacityProfile(name="p", total=20, channels=[channel])
    agents = [config_pb2.AgentProfile(agent_id="lim")]
    configuration = config_pb2.TenantConfiguration(capacity_profiles=[profile], agents=agents)
    return [violation.detail.partition(" at ")[0] for violation in _judge(configuration, log.events)]


def silent(log: Log) -> None:
    """One customer is silent."""
    log.replied("one")
    log.held("three")


def returned_after(log: Log) -> None:
    """The customer writes when the agent has the third already."""
    silent(log)
    log.wrote("one")


def returned_between(log: Log) -> None:
    """The customer writes between the offer and the acceptance."""
    log.replied("one")
    log.offered("three")
    log.wrote("one")
    log.assigned("three")


def returned_in_the_same_millisecond(log: Log) -> None:
    """The partitions do not say which came first."""
    log.replied("one")
    log.wrote("one")
    log.offered("three", later_ms=0)


def sent_later(log: Log) -> None:
    """The outcome of the reply comes later."""
    log.replied("one", awaits=True)
    log.outcome("one", pb.REPLY_STATE_SENT)
    log.held("three")


def automatic(log: Log) -> None:
    """A mailbox answers by itself."""
    log.replied("one")
    log.wrote("one", automatic=1)
    log.held("three")


@pytest.mark.parametrize(
    "story", [silent, returned_after, returned_between, returned_in_the_same_millisecond, sent_later, automatic]
)
def test_a_place_of_a_silent_customer_may_be_given_to_another(story: Story) -> None:
    assert verdicts(story) == []


def nothing_said(log: Log) -> None:
    """No agent has replied."""
    log.held("three")


def not_sent_yet(log: Log) -> None:
    """The reply is on its way."""
    log.replied("one", awaits=True)
    log.held("three")


def bounced(log: Log) -> None:
    """The reply did not arrive."""
    log.replied("one")
    log.outcome("one", pb.REPLY_STATE_FAILED)
    log.held("three")


def returned_before(log: Log) -> None:
    """The customer has written again."""
    log.replied("one")
    log.wrote("one")
    log.held("three")


def handed_on(log: Log) -> None:
    """The agent is transferring it warmly."""
    log.replied("one")
    log.add("one", reason="WARM_TRANSFER", changed=pb.InteractionChanged())
    log.held("three")


def wrapping_up(log: Log) -> None:
    """The agent wraps it up."""
    log.replied("one")
    log.add("one", completed=pb.InteractionCompleted(agent_id="lim", wrap_up_until_ms=10**12))
    log.held("three")


@pytest.mark.parametrize("story", [nothing_said, not_sent_yet, bounced, returned_before, handed_on, wrapping_up])
def test_any_other_place_is_taken(story: Story) -> None:
    assert verdicts(story) == ["30 of 20"]
