"""Hours of queues at the gateway: whether a queue is closed, until when, and callbacks at the next opening."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import grpc
import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.chassis.current_call import CURRENT, Call
from services.chassis.errors import ChaparError
from services.chassis.tokens import Caller
from services.router.adapters.configured_pools import ConfiguredTenant, decode
from services.router.adapters.mutations import Mutations
from services.router.adapters.routing_service import RoutingService
from services.router.domain.engine import Engine
from services.router.ports import Outcome
from tests.unit.router.world import World, a_pool, a_queue, an_agent
from tests.unit.sla.oracle import in_zone

R = TypeVar("R")
FRIDAY_EVENING = in_zone("Asia/Tehran", "2026-12-04T21:57") * 1000
SATURDAY_AT_EIGHT = in_zone("Asia/Tehran", "2026-12-05T08:00") * 1000


class OwnShard:
    """A shard whose owner is this replica."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(
        self,
        tenant: str,
        pool: str,
        context: Any,
        here: Callable[[Engine], R],
        there: Callable[[grpc.aio.Channel, tuple[tuple[str, str], ...], float], Awaitable[R]],
    ) -> R:
        return here(self._engine)


class RecordingCommands:
    """Keeps the commands; each is carried out."""

    def __init__(self) -> None:
        self.asked: list[pb.RoutingCommand] = []

    def new(self, tenant: str, pool: str, command_id: str) -> pb.RoutingCommand:
        return pb.RoutingCommand(command_id=command_id, tenant=tenant, pool=pool)

    async def ask(self, command: pb.RoutingCommand, timeout_s: float) -> Outcome:
        self.asked.append(command)
        return Outcome(True, "")

    async def tell(self, command: pb.RoutingCommand) -> None:
        self.asked.append(command)


class OneTenant:
    """The configuration of the tenant `acme`, as the gateway decodes it."""

    def __init__(self, configuration: config_pb2.TenantConfiguration) -> None:
        self._known = {"acme": decode("acme", configuration.SerializeToString())}

    async def tenant(self, tenant: str) -> ConfiguredTenant:
        return self._known.get(tenant, ConfiguredTenant())


class Desk:
    """The service at a moment, and the commands that it has sent."""

    def __init__(self, now_ms: int = FRIDAY_EVENING) -> None:
        made = config_pb2.TenantConfiguration(tenant="acme", time_zone="Asia/Tehran")
        made.calendars.add(name="office").hours.add(days=["sat", "sun"], to="16:00", **{"from": "08:00"})
        made.calendars.add(name="past").exceptions.add(date="2026-01-05", to="16:00", **{"from": "08:00"})
        made.queues.add(name="q", hours="office")
        made.queues.add(name="always")
        made.queues.add(name="over", hours="past")
        queues = [a_queue(queue.name) for queue in made.queues]
        world = World(a_pool(an_agent("a"), queues=queues))
        self.commands = RecordingCommands()
        shards: Any = OwnShard(world.engine)
        self.service = RoutingService(shards, Mutations(self.commands), OneTenant(made), lambda: now_ms)

    async def estimate(self, queue: str) -> tuple[bool, int]:
        found = await self.service.EstimateWait(api.EstimateWaitRequest(queue=queue), None)
        return found.closed, found.opens_at_ms

    async def callback(self, queue: str, at_ms: int = 0) -> int:
        """Return the time of the callback that the shard gets."""
        callback = pb.RequestCallback(interaction_id="i", at_ms=at_ms)
        request = api.RequestCallbackRequest(idempotency_key="k", callback=callback, at_opening_of=queue)
        await self.service.RequestCallback(request, None)
        return self.commands.asked[-1].request_callback.at_ms


@pytest.fixture(autouse=True)
def _a_caller() -> Iterator[None]:
    caller = Caller(subject="boss", tenant="acme", scopes=frozenset())
    token = CURRENT.set(Call("m", caller, (), None, ""))
    yield
    CURRENT.reset(token)


async def test_the_estimate_of_a_closed_queue_says_until_when_it_is_closed() -> None:
    desk = Desk()
    assert await desk.estimate("q") == (True, SATURDAY_AT_EIGHT)
    assert await desk.estimate("always") == (False, 0)
    assert await desk.estimate("over") == (True, 0)
    assert await Desk(SATURDAY_AT_EIGHT).estimate("q") == (False, 0)


async def test_lists_of_queues_say_it_too() -> None:
    desk = Desk()
    listed = (await desk.service.ListQueues(api.ListQueuesRequest(), None)).queues
    assert {view.queue: (view.closed, view.opens_at_ms) for view in listed} == {
        "q": (True, SATURDAY_AT_EIGHT),
        "always": (False, 0),
        "over": (True, 0),
    }
    one = (await desk.service.GetQueue(api.GetQueueRequest(queue="q"), None)).queue
    assert one == next(view for view in listed if view.queue == "q")


async def test_a_callback_at_the_next_opening() -> None:
    assert await Desk().callback("q") == SATURDAY_AT_EIGHT
    assert await Desk().callback("always") == 0
    assert await Desk(SATURDAY_AT_EIGHT).callback("q") == 0
    assert await Desk().callback("", at_ms=FRIDAY_EVENING + 5) == FRIDAY_EVENING + 5


@pytest.mark.parametrize(
    ("queue", "at_ms", "reason"),
    [("over", 0, "NO_OPENING"), ("nowhere", 0, "UNKNOWN_QUEUE"), ("q", FRIDAY_EVENING + 5, "INVALID_FIELD")],
)
async def test_a_callback_without_a_time_is_refused(queue: str, at_ms: int, reason: str) -> None:
    """No command leaves."""
    desk = Desk()
    with pytest.raises(ChaparError) as refused:
        await desk.callback(queue, at_ms)
    assert refused.value.reason == reason
    assert desk.commands.asked == []
