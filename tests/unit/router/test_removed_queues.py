"""A queue that the configuration no longer has is gone: its work waits, in order, in the pool's first queue."""

from dataclasses import replace

from services.policy.model.routing import Order, PickUpTarget, QueueConfig
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, Stage
from tests.unit.router.world import World, a_pool, a_queue, all_of, an_agent, only

LONG = 3_600_000
REMOVED = "QUEUE_REMOVED"


def a_world(*agents: str) -> World:
    """Return a pool with the queues `q` and `old`, whose agents are signed in."""
    world = World(a_pool(*map(an_agent, agents), queues=[a_queue(), a_queue("old", wrap_up_ms=LONG)], lease_ms=LONG))
    world.sign_in(*agents)
    return world


def applied(world: World, *queues: QueueConfig) -> list[fx.Effect]:
    """Apply the next version, with these queues and the same agents."""
    assert world.config is not None
    world.config = replace(world.config, version=world.config.version + 1, queues=queues)
    return world.tell(cmd.ActivateConfiguration(world.config))


def test_waiting_work_keeps_its_order_and_its_age() -> None:
    """The oldest of both queues is served first, whichever queue it waited in, and has waited since it came."""
    world = a_world("ali")
    world.holds("ali", "busy")
    for name, queue in (("z", "old"), ("m", "q"), ("a", "old")):
        world.enqueue(name, queue=queue)
        world.wait(1_000)
    queued = all_of(applied(world, a_queue()), fx.Queued)
    assert [(e.attributes.interaction_id, e.attributes.queue, e.reason, e.again) for e in queued] == [
        ("z", "q", REMOVED, True),
        ("a", "q", REMOVED, True),
    ]
    assert [each.position for each in queued] == [1, 3]
    served = []
    for _ in range(3):
        world.complete(next(i.id for i in world.engine.core.interactions.values() if i.stage is Stage.ASSIGNED))
        served.append(next(i.id for i in world.engine.core.interactions.values() if i.stage is Stage.OFFERED))
        world.accept(served[-1])
    assert served == ["z", "m", "a"]
    assert [e.waited_ms for e in all_of(world.log, fx.Assigned)] == [0, 3_000, 2_000, 1_000]


def test_an_offer_by_the_rules_of_the_former_queue_is_revoked_and_the_new_queue_decides() -> None:
    """Ali serves `old` only, so the work is Sara's now."""
    team = (an_agent("ali", queues=("old",)), an_agent("sara", queues=("q",)))
    world = World(a_pool(*team, queues=[a_queue(), a_queue("old")], lease_ms=LONG))
    world.sign_in("ali", "sara")
    world.enqueue("work", queue="old")
    assert world.offered("work") == "ali"
    assert only(applied(world, a_queue()), fx.OfferEnded).reason == REMOVED
    assert world.offered("work") == "sara"


def test_assigned_work_stays_with_its_agent_and_its_story_says_where_it_belongs() -> None:
    world = a_world("ali")
    world.enqueue("held", queue="old")
    world.accept("held")
    told = only(applied(world, a_queue()), fx.Changed)
    assert (told.attributes.queue, told.reason) == ("q", REMOVED)
    assert only(world.complete("held"), fx.Completed).agent_id == "ali"


def test_a_warm_transfer_goes_on_in_the_new_queue() -> None:
    """Its agent holds it until another agent accepts."""
    world = a_world("ali", "sara")
    world.enqueue("warm")
    world.accept("warm")
    world.tell(cmd.TransferInteraction("ali", "warm", "old", warm=True))
    done = applied(world, a_queue())
    assert (only(done, fx.OfferEnded).reason, only(done, fx.Changed).reason) == (REMOVED, REMOVED)
    assert world.offered("warm") == "sara"
    world.accept("warm")
    assert world.engine.core.interactions["warm"].agent_id == "sara"


def test_scheduled_work_keeps_its_time() -> None:
    world = a_world("ali")
    world.enqueue("later", queue="old", start_at_ms=world.now + 60_000)
    assert only(applied(world, a_queue()), fx.Changed).reason == REMOVED
    assert world.wait(59_999) == []
    assert only(world.wait(1), fx.Queued).attributes.queue == "q"


def test_wrap_up_goes_on_in_silence() -> None:
    """The customer has been served, so nothing happens to the interaction but the end of its wrap-up."""
    world = a_world("ali")
    world.enqueue("served", queue="old")
    world.accept("served")
    world.complete("served")
    assert [type(each) for each in applied(world, a_queue())] == [fx.Result]
    assert only(world.tell(cmd.EndWrapUp("ali", "served")), fx.WrapUpEnded).attributes.queue == "q"


def test_assigned_work_that_is_routed_again_is_ordered_by_the_new_queue() -> None:
    """The new queue is more urgent than the one in which other work waits."""
    world = a_world("ali")
    world.enqueue("held", queue="old")
    world.accept("held")
    applied(world, a_queue("urgent", priority=3), a_queue("q"))
    world.enqueue("other")
    world.tell(cmd.Reroute("held"))
    assert world.offered("held") == "ali"


def test_assigned_work_that_an_agent_loses_is_ordered_by_the_new_queue() -> None:
    """The new queue orders by deadline, the former one by arrival."""
    world = a_world("ali")
    world.enqueue("held", queue="old")
    world.accept("held")
    applied(world, a_queue("new", order=Order.DEADLINE, pick_up_targets=(PickUpTarget(60_000),)))
    world.tell(cmd.SetAgentState("ali", AgentState.OFFLINE))
    held = world.engine.core.interactions["held"]
    assert (held.stage, held.key) == (Stage.WAITING, held.attributes.arrived_at_ms + 60_000)
