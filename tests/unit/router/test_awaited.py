"""D13: an interaction takes less of the agent's capacity while its customer is awaited, and its whole weight when the customer writes."""

from dataclasses import replace
from typing import Any

import pytest

from services.policy.model.routing import CapacityProfile, ChannelCapacity
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.queries import views
from services.router.domain.queries.explain import Explanation, explain
from tests.unit.router.indexes import true
from tests.unit.router.world import World, a_pool, a_queue, all_of, an_agent, notices

LONG = 10**9
SENT, FAILED, UNKNOWN = 1, 2, 3
CHATS = ("chat 1", "chat 2", "chat 3", "chat 4")


def chats(weight: int | None = 0, maximum: int = 6) -> CapacityProfile:
    """Return a profile with room for four chats."""
    return CapacityProfile("", 80, (ChannelCapacity("chat", 20, maximum, awaited_weight=weight),), 20)


def a_full_agent(*capacities: CapacityProfile, **queue: Any) -> World:
    """Return a world in which lim holds four chats, and a fifth customer waits."""
    config = a_pool(
        an_agent("lim"),
        queues=[a_queue(**queue), a_queue("w")],
        capacity=capacities or (chats(),),
        lease_ms=LONG,
        grace_ms=LONG,
    )
    world = World(config)
    world.sign_in("lim")
    world.holds("lim", *CHATS)
    world.enqueue("fifth")
    assert world.offered("fifth") == ""
    return world


def reply(world: World, chat: str, *, reply_id: str = "r", awaits: bool = False) -> list[fx.Effect]:
    """Let lim reply."""
    return world.tell(cmd.RecordReply("lim", chat, reply_id, awaits))


def outcome(world: World, chat: str, state: int, reply_id: str = "r") -> list[fx.Effect]:
    """Report what became of a reply."""
    return world.tell(cmd.RecordReplyOutcome(chat, "lim", reply_id, "d", state))


def used(world: World) -> int:
    """Return the capacity that lim has in use."""
    return world.engine.core.used_total(world.engine.core.agents["lim"])[0]


# When it is light


def test_the_fifth_customer_is_served_while_an_answered_one_is_silent() -> None:
    """The place is offered in the step of the reply itself."""
    world = a_full_agent()
    effects = reply(world, "chat 1")
    assert [offered.attributes.interaction_id for offered in all_of(effects, fx.Offered)] == ["fifth"]
    assert used(world) == 80


def test_without_the_setting_a_silent_customer_keeps_the_place() -> None:
    world = a_full_agent(chats(None))
    for chat in CHATS:
        reply(world, chat)
    assert (world.offered("fifth"), used(world)) == ("", 80)


def test_a_customer_who_writes_again_takes_the_whole_weight_also_above_the_capacity() -> None:
    """The agent keeps everything, and gets nothing new until there is room."""
    world = a_full_agent()
    reply(world, "chat 1")
    world.accept("fifth")
    world.enqueue("sixth")
    world.tell(cmd.CustomerMessaged("chat 1", "m"))
    assert (used(world), world.offered("sixth")) == (100, "")
    assert all(world.engine.core.interactions[chat].agent_id == "lim" for chat in (*CHATS, "fifth"))
    world.complete("chat 2")
    assert (used(world), world.offered("sixth")) == (80, "")
    reply(world, "chat 1", reply_id="r2")
    assert (used(world), world.offered("sixth")) == (80, "lim")


def test_a_weight_between_leaves_room_when_several_are_silent() -> None:
    world = a_full_agent(chats(10))
    reply(world, "chat 1")
    assert (world.offered("fifth"), used(world)) == ("", 70)
    reply(world, "chat 2")
    assert (world.offered("fifth"), used(world)) == ("lim", 80)


def test_the_maximum_counts_silent_customers_too() -> None:
    """A weight of 0 does not mean any number of chats."""
    world = a_full_agent(chats(0, maximum=5))
    world.enqueue("sixth")
    for chat in CHATS:
        reply(world, chat)
    assert (world.offered("fifth"), world.offered("sixth")) == ("lim", "")
    assert "CHANNEL_FULL" in [excluded.reason for excluded in told(world, "sixth").excluded]


# What counts as a reply


def test_a_reply_counts_when_it_was_sent() -> None:
    world = a_full_agent()
    reply(world, "chat 1", awaits=True)
    assert world.offered("fifth") == ""
    outcome(world, "chat 1", SENT)
    assert world.offered("fifth") == "lim"


@pytest.mark.parametrize("state", [FAILED, UNKNOWN])
def test_a_reply_that_did_not_arrive_leaves_the_customer_waiting_for_the_agent(state: int) -> None:
    """A bounce may come after the reply was sent. Another reply that arrived counts."""
    world = a_full_agent()
    reply(world, "chat 1")
    outcome(world, "chat 1", state)
    assert used(world) == 100  # the place was offered meanwhile
    reply(world, "chat 2")
    reply(world, "chat 2", reply_id="r2")
    outcome(world, "chat 2", state, "r2")
    assert used(world) == 80


def test_a_reply_that_the_customer_has_overtaken_does_not_count() -> None:
    """The agent wrote it before the customer's last message, which has no answer."""
    world = a_full_agent()
    reply(world, "chat 1", awaits=True)
    world.tell(cmd.CustomerMessaged("chat 1", "m"))
    outcome(world, "chat 1", SENT)
    assert (world.offered("fifth"), used(world)) == ("", 80)


def test_an_automatic_message_is_not_an_answer() -> None:
    """The absence notice of a mailbox leaves the customer awaited."""
    world = a_full_agent()
    reply(world, "chat 1")
    world.tell(cmd.CustomerMessaged("chat 1", "m", automatic=1))
    assert (world.offered("fifth"), used(world)) == ("lim", 80)


# What ends it


def test_wrap_up_takes_the_whole_weight() -> None:
    """The agent works on it again, so it is no longer the customer who is awaited."""
    world = a_full_agent(wrap_up_ms=5_000)
    reply(world, "chat 1")
    world.complete("chat 1")
    assert used(world) == 100
    world.wait(5_000)
    assert used(world) == 80


def test_the_next_agent_owes_a_reply() -> None:
    """A transfer is a new wait of the customer, who is then not awaited by the agent that gets it, though a first reply was sent."""
    world = a_full_agent()
    for chat in CHATS:
        reply(world, chat)
    world.accept("fifth")
    world.tell(cmd.TransferInteraction("lim", "chat 1", "w"))
    world.tell(cmd.AssignInteraction("chat 1", "lim", force=True))
    assert used(world) == 40
    assert not world.engine.core.interactions["chat 1"].customer_awaited


def test_a_warm_transfer_takes_the_whole_weight_until_it_is_recalled() -> None:
    world = a_full_agent()
    reply(world, "chat 1")
    world.tell(cmd.TransferInteraction("lim", "chat 1", "w", warm=True))
    assert used(world) == 100
    world.tell(cmd.RecallTransfer("lim", "chat 1"))
    assert used(world) == 80


def test_a_customer_who_leaves_changes_nothing() -> None:
    """After a reply, the agent only has to close it; before one, it is theirs to look at."""
    world = a_full_agent()
    world.tell(cmd.CustomerLeft("chat 2"))
    assert used(world) == 80
    reply(world, "chat 1")
    world.tell(cmd.CustomerLeft("chat 1"))
    assert (used(world), world.offered("fifth")) == (80, "lim")


# With other rules


def test_a_parked_interaction_resumes_when_its_lower_weight_fits() -> None:
    """A call parks the newest mail; the agent replies to it during the call, and it then needs no room."""
    call = ChannelCapacity("voice", 80, interrupts=("mail",))
    profile = CapacityProfile("", 100, (call, ChannelCapacity("mail", 20, awaited_weight=0)), 20)
    world = World(a_pool(an_agent("lim"), capacity=profile, lease_ms=LONG))
    world.sign_in("lim")
    world.holds("lim", "mail 1", channel="mail")
    world.wait(1)
    world.holds("lim", "mail 2", channel="mail")
    world.enqueue("call", channel="voice")
    world.accept("call")
    assert list(world.engine.core.agents["lim"].parked) == ["mail 2"]
    reply(world, "mail 2")
    assert list(world.engine.core.agents["lim"].parked) == []
    assert used(world) == 100


def test_what_makes_no_room_is_parked_last() -> None:
    """The newest mail takes nothing while its customer is awaited, so the older one is parked."""
    call = ChannelCapacity("voice", 80, interrupts=("mail",))
    profile = CapacityProfile("", 100, (call, ChannelCapacity("mail", 20, awaited_weight=0)), 20)
    world = World(a_pool(an_agent("lim"), capacity=profile, lease_ms=LONG))
    world.sign_in("lim")
    for mail in ("mail 1", "mail 2", "mail 3"):
        world.holds("lim", mail, channel="mail")
        world.wait(1)
    reply(world, "mail 3")
    world.enqueue("call", channel="voice")
    parked = [mail for mail in ("mail 1", "mail 2", "mail 3") if world.engine.core.interactions[mail].parked]
    assert (parked, world.offered("call")) == (["mail 2"], "lim")


def test_a_new_configuration_weighs_what_agents_hold() -> None:
    """The replies were recorded before the setting existed."""
    world = a_full_agent(chats(None))
    reply(world, "chat 1")
    config = world.engine.core.config
    assert config is not None
    world.tell(cmd.ActivateConfiguration(replace(config, version=2, agents=(an_agent("lim"),), profiles=(chats(),))))
    assert (world.offered("fifth"), used(world)) == ("lim", 80)
    true(world.engine.core)


def test_another_profile_weighs_what_the_agent_holds() -> None:
    world = a_full_agent(chats(), replace(chats(15), name="other"), replace(chats(None), name="plain"))
    reply(world, "chat 1")
    assert used(world) == 80
    for profile, weight in (("other", 95), ("plain", 100), ("other", 95), ("", 80)):
        world.tell(cmd.UpsertAgent(an_agent("lim", capacity_profile=profile)))
        assert used(world) == weight
    world.tell(cmd.UpsertAgent(an_agent("lim", capacity_profile="plain")))
    reply(world, "chat 2")
    world.tell(cmd.UpsertAgent(an_agent("lim")))
    assert used(world) == 60
    true(world.engine.core)


def test_a_restored_engine_has_the_same_weights() -> None:
    world = a_full_agent()
    reply(world, "chat 1")
    reply(world, "chat 2", awaits=True)
    restorer = Restorer()
    for (_, name), value in collect(world.engine, world.now):
        assert value is not None
        restorer.add(name, value)
    world.engine = restorer.engine(world.now)
    assert used(world) == 80
    outcome(world, "chat 2", SENT)
    assert used(world) == 60


# Explanations and views


def told(world: World, interaction_id: str) -> Explanation:
    """Return the explanation of an interaction."""
    found = explain(world.engine, interaction_id)
    assert found is not None
    return found


def test_explain_says_who_is_awaited_and_who_holds_more_than_the_capacity() -> None:
    world = a_full_agent()
    reply(world, "chat 1")
    assert "awaiting its customer with a weight of 0 instead of 20" in told(world, "chat 1").summary
    world.accept("fifth")
    world.tell(cmd.CustomerMessaged("chat 1", "m"))
    world.enqueue("sixth")
    assert "awaiting" not in told(world, "chat 1").summary
    assert "1 NO_CAPACITY (chat; holds more than the capacity)" in told(world, "sixth").summary


def test_explain_says_that_a_customer_is_awaited_who_keeps_the_place() -> None:
    world = a_full_agent(chats(None))
    reply(world, "chat 1")
    assert "awaiting its customer," in told(world, "chat 1").summary


def test_an_agent_as_seen_by_supervisors_has_the_awaited_customers_and_the_weight() -> None:
    world = a_full_agent()
    reply(world, "chat 1")
    agent = views.agent(world.engine, "lim")
    assert agent is not None
    held = {a.attributes.interaction_id: a.customer_awaited for a in agent.snapshot.assignments}
    assert held == {"chat 1": True, "chat 2": False, "chat 3": False, "chat 4": False}
    assert (agent.snapshot.used, agent.snapshot.total) == (80, 80)


def test_a_desk_that_resumes_learns_whose_customer_is_awaited() -> None:
    world = a_full_agent()
    reply(world, "chat 1")
    effects = world.sign_in("lim", session="s-2", resumes="s-lim")
    snapshot = next(n for n in notices(effects, "lim") if isinstance(n, fx.SnapshotNotice))
    assert [a.attributes.interaction_id for a in snapshot.assignments if a.customer_awaited] == ["chat 1"]


def test_only_so_many_replies_of_one_turn_are_kept() -> None:
    """An agent who writes a hundred lines does not fill the memory; the newest replies decide."""
    world = a_full_agent()
    for n in range(100):
        reply(world, "chat 1", reply_id=f"r{n}", awaits=True)
    assert len(world.engine.core.interactions["chat 1"].replies) == 16
    outcome(world, "chat 1", SENT, "r99")
    assert world.offered("fifth") == "lim"
