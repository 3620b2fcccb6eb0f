"""Commands about a waiting or held interaction, and their refusals. One rule for each test."""

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from tests.unit.router.world import World, a_pool, a_queue, all_of, an_agent, notices, only, requires

FOREVER = 10**9


def test_replies_and_completion_are_the_holders_alone(world: World) -> None:
    """Other agents get NOT_YOURS; the reason is NOT_ASSIGNED while no agent holds it, UNKNOWN_INTERACTION when it is closed."""
    world.enqueue("i")
    assert world.ask(cmd.RecordReply("a", "i", "r")) == "NOT_ASSIGNED"
    world.accept("i")
    assert world.ask(cmd.RecordReply("b", "i", "r")) == "NOT_YOURS"
    assert [only(world.tell(cmd.RecordReply("a", "i", f"r{n}")), fx.Replied).first for n in range(2)] == [True, False]
    assert world.ask(cmd.CompleteInteraction("b", "i")) == "NOT_YOURS"
    world.complete("i")
    assert world.ask(cmd.RecordReply("a", "i", "late")) == "UNKNOWN_INTERACTION"


def test_a_queue_may_require_a_disposition_on_some_channels_or_on_all() -> None:
    """Without one the agent keeps the interaction. Which names there are is for the tenant's desk to say."""
    for channels, asked in (((), True), (("chat",), True), (("email",), False)):
        queue = a_queue(disposition_required=True, disposition_channels=channels)
        world = World(a_pool(an_agent("a"), queues=[queue], lease_ms=FOREVER))
        world.sign_in("a")
        world.holds("a", "i")
        refused = world.ask(cmd.CompleteInteraction("a", "i"))
        assert refused == ("DISPOSITION_REQUIRED" if asked else "")
        if asked:
            assert only(world.tell(cmd.CompleteInteraction("a", "i", "sold")), fx.Completed).disposition == "sold"


def test_the_outcome_of_a_reply_reaches_the_agent_who_wrote_it(world: World) -> None:
    """Also when the interaction is closed: the words did not reach the customer, whichever agent holds it now."""
    world.enqueue("i")
    world.accept("i")
    failed = cmd.RecordReplyOutcome("i", "a", "r", "d", 2, "BOUNCED_5_1_1", retryable=True)
    effects = world.tell(failed)
    assert fx.ReplyNotice("i", "r", "d", 2, "BOUNCED_5_1_1", True) in notices(effects, "a")
    event = only(effects, fx.ReplyOutcome)
    assert (event.agent_id, event.reply_id, event.delivery_id, event.state) == ("a", "r", "d", 2)
    assert (event.failure, event.retryable) == ("BOUNCED_5_1_1", True)
    world.complete("i")
    assert fx.ReplyNotice("i", "r", "d", 2, "", False) in notices(
        world.tell(cmd.RecordReplyOutcome("i", "a", "r", "d", 2)), "a"
    )
    assert world.ask(cmd.RecordReplyOutcome("i", "a", "r", "d", 2)) == "UNKNOWN_INTERACTION"
    assert world.ask(cmd.RecordReplyOutcome("i", "no-such-agent", "r", "d", 2)) == "UNKNOWN_INTERACTION"


def test_wrap_up_keeps_the_capacity_until_it_ends() -> None:
    """It ends by time, or when the agent ends it; then the next interaction is offered."""
    world = World(a_pool(an_agent("a"), queues=[a_queue(wrap_up_ms=30_000)], lease_ms=FOREVER))
    world.sign_in("a")
    world.holds("a", "first")
    completed = only(world.complete("first"), fx.Completed)
    assert completed.wrap_up_until_ms == world.now + 30_000
    world.enqueue("second")
    assert world.ask(cmd.CustomerMessaged("first", "m")) == "INTERACTION_COMPLETED"
    assert not world.offered("second")
    assert only(world.wait(30_000), fx.WrapUpEnded).reason == "WRAP_UP_TIME_OVER"
    assert world.offered("second") == "a"
    world.accept("second")
    world.complete("second")
    world.enqueue("third")
    assert world.ask(cmd.EndWrapUp("a", "second")) == ""
    assert world.offered("third") == "a"


def test_a_customer_who_leaves_abandons_a_waiting_interaction_or_is_reported_to_the_holder(world: World) -> None:
    """The stages are waiting, offered and assigned."""
    world.holds("a", "held")
    assert fx.CustomerNotice("held", "", True) in notices(world.tell(cmd.CustomerLeft("held")), "a")
    world.enqueue("waiting")
    world.wait(4_000)
    assert only(world.tell(cmd.CustomerLeft("waiting")), fx.Abandoned).waited_ms == 4_000
    world.complete("held")
    world.enqueue("offered")
    effects = world.tell(cmd.CustomerLeft("offered"))
    assert only(effects, fx.OfferEnded).reason == only(effects, fx.Abandoned).reason == "CUSTOMER_LEFT"
    assert world.engine.core.interactions == {}


def test_a_customers_message_is_recorded_and_the_holder_is_notified(world: World) -> None:
    """The message is recorded while the interaction waits, too."""
    world.holds("a", "i")
    assert fx.CustomerNotice("i", "m", False) in notices(world.tell(cmd.CustomerMessaged("i", "m")), "a")
    world.enqueue("w")
    assert only(world.tell(cmd.CustomerMessaged("w", "m2")), fx.CustomerMessaged).message_id == "m2"


def test_an_interaction_can_be_cancelled_in_any_stage(world: World) -> None:
    """The freed agent gets an offer of the next interaction."""
    world.holds("a", "held")
    world.enqueue("next")
    effects = world.tell(cmd.CancelInteraction("held", "DUPLICATE"))
    assert only(effects, fx.Cancelled).reason == "DUPLICATE"
    assert fx.EndedNotice("held", "DUPLICATE") in notices(effects, "a")
    assert world.offered("next") == "a"


def test_a_transfer_to_a_queue_does_not_come_back_to_the_transferring_agent(world: World) -> None:
    """Agent b holds something and gets the offer when they have finished it."""
    world.sign_in("b")
    world.holds("a", "i")
    world.holds("b", "busy")
    effects = world.tell(cmd.TransferInteraction("a", "i", queue="other"))
    assert (only(effects, fx.Transferred).from_agent_id, only(effects, fx.Queued).again) == ("a", True)
    assert not world.offered("i")
    world.complete("busy")
    assert world.offered("i") == "b"


def test_a_transfer_to_an_agent_waits_for_them_and_falls_back_when_they_leave(world: World) -> None:
    """Skills are not checked; a target who is absent, unknown or the same agent is refused."""
    world.holds("a", "i")
    transfer = cmd.TransferInteraction("a", "i", to_agent_id="b")
    assert world.ask(transfer) == "AGENT_NOT_AVAILABLE"
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="x")) == "UNKNOWN_AGENT"
    assert world.ask(cmd.TransferInteraction("a", "i", to_agent_id="a")) == "SAME_AGENT"
    world.sign_in("b")
    world.enqueue("busy")
    assert world.offered("busy") == "b"
    world.accept("busy")
    assert world.ask(transfer) == ""
    assert world.ask(cmd.CompleteInteraction("a", "i")) == "NOT_ASSIGNED"
    effects = world.complete("busy")
    assert only(effects, fx.Offered).reason == "TRANSFERRED_TO_AGENT"
    world.decline("i")
    assert world.offered("i") == "a", "no other agent is there"


def test_waiting_time_adds_up_over_queues_and_holders(world: World) -> None:
    """It waits 4 s before a supervisor transfers it, 3 s after that, and 2 s more after an agent returned it."""
    world.holds("a", "busy")
    world.enqueue("i")
    world.wait(4_000)
    assert world.ask(cmd.TransferInteraction("", "i", queue="other")) == ""
    world.wait(3_000)
    world.complete("busy")
    world.accept("i")
    assert all_of(world.log, fx.Assigned)[-1].waited_ms == 7_000
    world.wait(60_000)
    world.tell(cmd.TransferInteraction("a", "i", queue="q"))
    world.wait(2_000)
    assert only(world.tell(cmd.CustomerLeft("i")), fx.Abandoned).waited_ms == 9_000


def test_rerouting_changes_queue_and_requirements(world: World) -> None:
    """A held interaction can be rerouted too: it leaves the agent."""
    world.holds("a", "i")
    effects = world.tell(cmd.Reroute("i", "other", (requires("persian", 5),)))
    assert only(effects, fx.Queued).attributes.queue == "other"
    assert not world.offered("i")
    assert world.ask(cmd.Reroute("i", "nowhere")) == "UNKNOWN_QUEUE"
    assert only(world.tell(cmd.Reroute("i", "", ())), fx.Offered).agent_id == "a"


def test_rerouting_may_add_requirements(world: World) -> None:
    """They are added once, however often the command is repeated; without a queue in the command the queue stays."""
    world.enqueue("i", requirements=(requires("persian", 5),))
    added = (requires("senior", 1), requires("persian", 5))
    for _ in range(2):
        assert world.ask(cmd.Reroute("i", added=added)) == ""
    assert all_of(world.log, fx.Queued)[-1].attributes.requirements == (requires("persian", 5), requires("senior", 1))


def test_a_command_for_waiting_interactions_ignores_held_ones(world: World) -> None:
    """An escalation that comes after an agent has accepted leaves the interaction with that agent."""
    world.holds("a", "i")
    assert world.ask(cmd.Reroute("i", "other", waiting_only=True)) == "NOT_WAITING"
    world.enqueue("j")
    assert world.ask(cmd.Reroute("j", "other", waiting_only=True)) == ""


def test_a_raised_priority_goes_first(world: World) -> None:
    """Reprioritise moves waiting interactions."""
    world.holds("a", "busy")
    world.enqueue("one")
    world.enqueue("two")
    assert only(world.tell(cmd.Reprioritise("two", 5, "SLA_WARNING")), fx.Changed).reason == "SLA_WARNING"
    world.complete("busy")
    assert world.offered("two") == "a"
