"""D13: a customer who does not answer a reply is warned, and then the interaction ends."""

from dataclasses import replace
from typing import Any

import pytest

from services.policy.model.routing import PoolConfig
from services.policy.model.validity import is_valid
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.queries.explain import explain
from tests.unit.router.world import START, World, a_capacity, a_pool, a_queue, all_of, an_agent, notices, only

LONG = 10**9
MINUTE = 60_000
WARN, CLOSE = 20 * MINUTE, 30 * MINUTE
SENT, FAILED = 1, 2


def a_world(*, capacity: int = 1, warn: int = WARN, close: int = CLOSE, **more: Any) -> World:
    """Return a world in which lim holds a chat."""
    queues = [a_queue(warn_silent_ms=warn, close_silent_ms=close, **more), a_queue("w")]
    config = a_pool(an_agent("lim"), queues=queues, capacity=a_capacity(capacity), lease_ms=LONG, grace_ms=LONG)
    world = World(config)
    world.sign_in("lim")
    world.holds("lim", "chat")
    return world


def reply(world: World, reply_id: str = "r", *, awaits: bool = False) -> None:
    """Let lim reply."""
    assert world.ask(cmd.RecordReply("lim", "chat", reply_id, awaits)) == ""


def outcome(world: World, state: int, reply_id: str = "r") -> None:
    """Report what became of a reply."""
    assert world.ask(cmd.RecordReplyOutcome("chat", "lim", reply_id, "d", state)) == ""


def wrote(world: World, automatic: int = 0) -> None:
    """Let the customer write."""
    assert world.ask(cmd.CustomerMessaged("chat", "m", automatic)) == ""


def story(effects: list[fx.Effect]) -> list[str]:
    """Return what became of the silence."""
    return [type(effect).__name__ for effect in effects if isinstance(effect, fx.CustomerSilent | fx.Completed)]


def test_a_silent_customer_is_warned_and_then_the_interaction_is_completed() -> None:
    """20 minutes after the reply, and 30 minutes after it."""
    world = a_world()
    reply(world)
    assert story(world.wait(WARN - 1)) == []
    warning = only(world.wait(1), fx.CustomerSilent)
    assert (warning.reason, warning.closes_at_ms) == ("CUSTOMER_SILENT", START + CLOSE)
    assert story(world.wait(CLOSE - WARN - 1)) == []
    effects = world.wait(1)
    completed = only(effects, fx.Completed)
    assert (completed.reason, completed.disposition, completed.agent_id) == ("SILENT", "silent", "lim")
    assert (completed.assigned_at_ms, completed.wrap_up_until_ms) == (START, 0)
    assert fx.EndedNotice("chat", "SILENT") in notices(effects, "lim")
    assert "chat" not in world.engine.core.interactions


def test_the_place_is_offered_when_the_silent_interaction_ends() -> None:
    """There is no wrap-up, because the agent does not work on it, and no disposition that an agent must name."""
    world = a_world(wrap_up_ms=MINUTE, disposition_required=True)
    reply(world)
    world.enqueue("next")
    world.wait(CLOSE)
    assert world.offered("next") == "lim"


def test_without_a_warning_the_interaction_just_ends() -> None:
    world = a_world(warn=0)
    reply(world)
    assert story(world.wait(CLOSE)) == ["Completed"]


def test_without_the_setting_nothing_ends() -> None:
    world = a_world(warn=0, close=0)
    reply(world)
    assert story(world.wait(100 * CLOSE)) == []


@pytest.mark.parametrize("after", [WARN - 1, WARN, CLOSE - 1])
def test_a_message_of_the_customer_stops_both(after: int) -> None:
    world = a_world()
    reply(world)
    world.wait(after)
    wrote(world)
    assert story(world.wait(10 * CLOSE)) == []
    reply(world, "r2")
    assert story(world.wait(CLOSE)) == ["CustomerSilent", "Completed"]


def test_an_automatic_message_does_not_stop_it() -> None:
    world = a_world()
    reply(world)
    world.wait(MINUTE)
    wrote(world, automatic=1)
    assert story(world.wait(CLOSE)) == ["CustomerSilent", "Completed"]


def test_another_reply_begins_the_time_again() -> None:
    """The customer has something new to answer, and a warning comes for it too."""
    world = a_world()
    reply(world)
    world.wait(CLOSE - 1)
    reply(world, "r2")
    assert story(world.wait(WARN - 1)) == []
    assert story(world.wait(1)) == ["CustomerSilent"]


def test_the_time_begins_when_the_reply_was_sent() -> None:
    world = a_world()
    reply(world, awaits=True)
    assert story(world.wait(10 * CLOSE)) == []
    outcome(world, SENT)
    assert story(world.wait(WARN - 1)) == []
    assert story(world.wait(1)) == ["CustomerSilent"]


def test_a_reply_that_did_not_arrive_stops_it() -> None:
    """A bounce comes after the warning: the customer waits for the agent."""
    world = a_world()
    reply(world)
    world.wait(WARN)
    outcome(world, FAILED)
    assert story(world.wait(10 * CLOSE)) == []


def test_before_a_reply_nothing_ends() -> None:
    assert story(a_world().wait(10 * CLOSE)) == []


def test_a_transfer_stops_it() -> None:
    """The customer waits for the next agent."""
    world = a_world()
    reply(world)
    world.wait(WARN)
    world.tell(cmd.TransferInteraction("lim", "chat", "w"))
    assert story(world.wait(10 * CLOSE)) == []


def test_a_warm_transfer_stops_it_and_a_recall_begins_it_again() -> None:
    world = a_world()
    reply(world)
    world.wait(WARN)
    world.tell(cmd.TransferInteraction("lim", "chat", "q", warm=True))
    assert story(world.wait(10 * CLOSE)) == []
    world.tell(cmd.RecallTransfer("lim", "chat"))
    assert story(world.wait(WARN - 1)) == []
    assert story(world.wait(CLOSE - WARN + 1)) == ["CustomerSilent", "Completed"]


def test_a_lost_agent_stops_it() -> None:
    world = a_world()
    reply(world)
    world.wait(WARN)
    world.tell(cmd.CloseSession("lim", "s-lim", signed_out=True))
    assert story(world.wait(10 * CLOSE)) == []


def test_a_customer_who_has_left_is_silent() -> None:
    world = a_world()
    reply(world)
    world.tell(cmd.CustomerLeft("chat"))
    assert story(world.wait(CLOSE)) == ["CustomerSilent", "Completed"]


def restored(world: World) -> None:
    """Replace the engine by one that is restored from the changelog."""
    restorer = Restorer()
    for (_, name), value in collect(world.engine, world.now):
        assert value is not None
        restorer.add(name, value)
    world.engine = restorer.engine(world.now)


@pytest.mark.parametrize(("after", "left"), [(WARN - 1, ["CustomerSilent", "Completed"]), (WARN + 1, ["Completed"])])
def test_a_restored_engine_goes_on(after: int, left: list[str]) -> None:
    world = a_world()
    reply(world)
    world.wait(after)
    restored(world)
    assert story(world.wait(CLOSE - after)) == left


def test_after_an_outage_the_customer_is_warned_first_and_has_the_rest_of_the_time() -> None:
    """The shard had no owner when both were due, and customers could not be heard."""
    world = a_world()
    reply(world)
    restored(world)
    world.now += 2 * CLOSE
    assert story(world.engine.take_over(world.now)) == []
    assert story(world.wait(CLOSE - WARN)) == ["CustomerSilent"]
    assert story(world.wait(CLOSE - WARN)) == ["Completed"]


def reconfigured(world: World, **queue: int) -> PoolConfig:
    """Return the next version, with another queue `q`."""
    config = world.engine.core.config
    assert config is not None
    queues = tuple(replace(q, **queue) if q.name == "q" else q for q in config.queues)  # type: ignore[arg-type]  # numbers only
    return replace(config, version=config.version + 1, queues=queues, agents=(an_agent("lim"),))


def test_a_new_configuration_warns_before_it_ends_what_has_been_silent_for_long() -> None:
    world = a_world(warn=0, close=0)
    reply(world)
    world.wait(10 * CLOSE)
    world.tell(cmd.ActivateConfiguration(reconfigured(world, warn_silent_ms=WARN, close_silent_ms=CLOSE)))
    assert story(world.wait(0)) == ["CustomerSilent"]
    assert story(world.wait(CLOSE - WARN)) == ["Completed"]


def test_a_configuration_without_the_setting_stops_it() -> None:
    world = a_world()
    reply(world)
    world.wait(WARN)
    world.tell(cmd.ActivateConfiguration(reconfigured(world, warn_silent_ms=0, close_silent_ms=0)))
    assert story(world.wait(10 * CLOSE)) == []


def test_the_setting_of_the_first_queue_holds_for_work_of_a_removed_queue() -> None:
    world = a_world()
    reply(world)
    config = reconfigured(world)
    other = replace(config.queues[1], close_silent_ms=5 * MINUTE)
    world.wait(MINUTE)
    world.tell(cmd.ActivateConfiguration(replace(config, queues=(other,))))
    assert story(world.wait(4 * MINUTE)) == ["Completed"]


def test_a_warning_must_come_before_the_end() -> None:
    for warn, close, valid in ((1, 2, True), (0, 2, True), (0, 0, True), (2, 2, False), (2, 0, False), (0, -1, False)):
        assert is_valid(a_pool(queues=[a_queue(warn_silent_ms=warn, close_silent_ms=close)])) is valid


def test_explain_says_when_the_silence_has_consequences() -> None:
    world = a_world()
    reply(world)
    world.wait(MINUTE)

    def summary() -> str:
        world.tell(cmd.RenewLeases(("s-lim",)))  # an explanation is of the time of the newest batch
        found = explain(world.engine, "chat")
        assert found is not None
        return found.summary

    assert "awaiting its customer (warned 1140 s from now)" in summary()
    world.wait(WARN)
    assert "awaiting its customer (completed 540 s from now)" in summary()


def test_the_next_contact_of_the_customer_may_go_to_the_same_agent() -> None:
    """The end counts as a completion by the agent, also for `sticky`; otherwise it would be the agent who is idle for longer."""
    world = a_world(capacity=2, sticky_ms=5_000)
    reply(world)
    world.tell(cmd.UpsertAgent(an_agent("other")))
    world.sign_in("other")
    world.wait(CLOSE)
    world.enqueue("again", person_id="p-chat")
    assert world.offered("again") == "lim"


def test_each_silence_of_several_chats_is_its_own() -> None:
    world = a_world(capacity=2)
    world.holds("lim", "other")
    reply(world)
    world.wait(MINUTE)
    world.tell(cmd.RecordReply("lim", "other", "r"))
    effects = world.wait(CLOSE)
    told = [e.attributes.interaction_id for e in all_of(effects, fx.CustomerSilent)]
    assert told == ["chat", "other"]
    assert [e.attributes.interaction_id for e in all_of(effects, fx.Completed)] == ["chat", "other"]
