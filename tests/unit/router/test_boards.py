"""Queues for watchers are computed once for many of them, and never for another tenant."""

from chapar.router.v1 import router_pb2 as api
from services.router.adapters.boards import Boards


class Source:
    """Counts how often it is called."""

    now = 0.0

    def __init__(self) -> None:
        self.asked = 0

    async def compute(self) -> api.ListQueuesResponse:
        self.asked += 1
        return api.ListQueuesResponse(queues=[api.QueueView(queue=f"q-{self.asked}")])


async def test_many_watchers_cost_one_computation() -> None:
    """The result is used again until it is no longer fresh."""
    source = Source()
    boards = Boards(0.1, lambda: source.now)
    for _ in range(50):
        found = await boards.get("acme", "default", source.compute)
    assert (source.asked, found.queues[0].queue) == (1, "q-1")
    source.now = 0.1
    assert (await boards.get("acme", "default", source.compute)).queues[0].queue == "q-2"


async def test_tenants_and_pools_are_apart() -> None:
    """The same pool name of another tenant is a different pool."""
    source = Source()
    boards = Boards(1, lambda: source.now)
    names = [("acme", "default"), ("beta", "default"), ("acme", "other")]
    found = [(await boards.get(*name, source.compute)).queues[0].queue for name in names]
    assert found == ["q-1", "q-2", "q-3"]


async def test_invented_pools_cost_no_memory() -> None:
    """The oldest pools are removed first."""
    source = Source()
    boards = Boards(1, lambda: source.now)
    for number in range(1000):
        await boards.get("acme", f"invented-{number}", source.compute)
    assert len(boards._kept) == 256
