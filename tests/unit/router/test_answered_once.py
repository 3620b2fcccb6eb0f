"""A queue's answered customers, and its service level, count each customer once for a stay in the queue."""

from services.router.domain import commands as cmd
from services.router.domain.changelog.entities import dump_interaction, load_interaction
from services.router.domain.queries.views import QueueNow, queues
from tests.unit.router.world import World, a_pool, a_queue, an_agent

FOREVER = 10**9


def a_world(**queue: int) -> World:
    """Three agents, and two queues whose customers should be answered within a minute."""
    queues = [a_queue(name, **{"service_level_ms": 60_000, **queue}) for name in ("one", "two")]
    agents = [an_agent(name, queues=("one", "two")) for name in ("a", "b", "c")]
    return World(a_pool(*agents, queues=queues, lease_ms=FOREVER))


def counted(world: World, queue: str) -> tuple[int, int, int]:
    """Answered in time, answered, abandoned."""
    now: QueueNow = next(each for each in queues(world.engine, world.now) if each.queue == queue)
    return now.in_threshold, now.answered, now.abandoned


def lose(world: World, agent: str) -> None:
    """The agent's session ends; what they hold is routed again."""
    world.tell(cmd.CloseSession(agent, f"s-{agent}", signed_out=True))


def test_one_customer_who_is_transferred_and_loses_an_agent_is_answered_once_in_each_queue() -> None:
    """D11: transferred to queue two, whose first agent is lost; the second agent there does not answer another customer."""
    world = a_world()
    world.sign_in("a", "b", "c")
    world.enqueue("i", queue="one")
    first = world.offered("i")
    world.accept("i")
    world.tell(cmd.TransferInteraction(first, "i", queue="two"))
    second = world.offered("i")
    assert second != first
    world.accept("i")
    lose(world, second)
    world.accept("i")
    assert counted(world, "one") == (1, 1, 0)
    assert counted(world, "two") == (1, 1, 0)


def test_the_second_wait_after_a_lost_agent_does_not_enter_the_service_level() -> None:
    """Answered in time; then the agent is lost and the customer waits for too long: the level is that of the first answer."""
    world = a_world()
    world.sign_in("a")
    world.enqueue("i", queue="one")
    world.accept("i")
    lose(world, "a")
    world.wait(120_000)
    world.sign_in("b")
    world.accept("i")
    assert counted(world, "one") == (1, 1, 0)
    assert world.engine.core.histories["one"].level == 1.0


def test_a_customer_who_leaves_after_a_lost_agent_was_answered() -> None:
    """They are one customer, answered and not also abandoned."""
    world = a_world()
    world.sign_in("a")
    world.enqueue("i", queue="one")
    world.accept("i")
    lose(world, "a")
    world.tell(cmd.CustomerLeft("i"))
    assert counted(world, "one") == (1, 1, 0)
    assert world.engine.core.histories["one"].level == 1.0


def test_a_customer_whom_an_agent_transfers_within_the_queue_enters_it_anew() -> None:
    """The agent has ended their part: the customer waits for an answer of this queue again."""
    world = a_world()
    world.sign_in("a", "b")
    world.enqueue("i", queue="one")
    world.accept("i")
    holder = world.engine.core.interactions["i"].agent_id
    world.tell(cmd.TransferInteraction(holder, "i", queue="one"))
    world.accept("i")
    assert counted(world, "one") == (2, 2, 0)


def test_it_is_remembered_after_a_restart() -> None:
    """The lost agent, a restored engine, the second agent: still one."""
    world = a_world()
    world.sign_in("a")
    world.enqueue("i", queue="one")
    world.accept("i")
    lose(world, "a")
    entry = dump_interaction(world.engine.core.interactions["i"])
    assert load_interaction(entry).answered_in == "one"
