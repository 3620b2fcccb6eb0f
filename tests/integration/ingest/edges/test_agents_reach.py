"""What an agent's token reaches over a real socket: their own conversations and those of their queues, by every read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2 as router_pb2
from services.chassis.clock import system_clock
from services.chassis.ids import derive, random_id
from services.chassis.kafka.producer import DurableProducer
from services.chassis.tokens import mint
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install

pytestmark = pytest.mark.kafka
OWN: Final = ("conversations.read.own",)
ALL: Final = ("conversations.read",)
TENANT: Final = "demo"


def queued(*queues_of_sara: str) -> config_pb2.TenantConfiguration:
    """Two queues, chosen by the label `about`; Sara serves the given queues, Omid serves sales."""
    made = configuration(TENANT)
    made.pools.add(name="default")
    for queue in ("support", "sales"):
        made.queues.add(name=queue, pool="default")
    made.rules.add(name="sales", when='labels["about"] == "sales"', queue="sales")
    made.rules.add(name="everything", queue="support")
    made.agents.add(agent_id="sara", pool="default", queues=queues_of_sara)
    made.agents.add(agent_id="omid", pool="default", queues=["sales"])
    return made


@dataclass(frozen=True)
class Talk:
    """A customer's conversation with one interaction."""

    person: str
    identity: str
    conversation: str
    interaction: str


@dataclass
class Scene:
    """A running service with one conversation in each queue."""

    edges: Edges
    stub: Any
    support: Talk
    sales: Talk

    def metadata(self, agent: str, scopes: Sequence[str] = OWN) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {mint(self.edges.token_secret, agent, TENANT, scopes, agent)}"),)

    async def publish(self, topic: str, key: str, value: bytes) -> None:
        async with DurableProducer(self.edges.kafka, client_id="test") as producer:
            await producer.publish(topic, key.encode(), value)

    async def assign(self, talk: Talk, queue: str, agent: str) -> None:
        """Write the assignment as the router does."""
        event = router_pb2.RoutingEvent(
            event_id=random_id(),
            tenant=TENANT,
            pool="default",
            occurred_at_ms=system_clock(),
            epoch=1,
            interaction=router_pb2.InteractionAttributes(
                interaction_id=talk.interaction,
                conversation_id=talk.conversation,
                person_id=talk.person,
                identity_id=talk.identity,
                channel="grpc",
                queue=queue,
                arrived_at_ms=system_clock(),
            ),
            assigned=router_pb2.InteractionAssigned(agent_id=agent, offer_id="o"),
        )
        await self.publish("routing.events.v1", talk.conversation, event.SerializeToString())


async def submit(stub: Any, metadata: Any, native_id: str, about: str) -> Talk:
    request = ingest_pb2.SubmitRequest(
        idempotency_key=native_id, native_id=native_id, text="hello", labels={"about": about}
    )
    sent = await stub.Submit(request, metadata=metadata, timeout=10)
    return Talk(
        derive("person", sent.identity_id),
        sent.identity_id,
        derive("conversation", sent.message_id),
        derive("interaction", sent.message_id),
    )


async def until(attempt: Callable[[], Any]) -> None:
    """Wait until the attempt returns true: history starts after the service, is behind the log and gives no notification."""
    async with asyncio.timeout(30):
        while True:
            try:
                if await attempt():
                    return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.02)


@pytest.fixture
async def scene(kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]) -> AsyncIterator[Scene]:
    settings = kafka.settings(prefix)
    await install(settings, queued("support"))
    async with (
        ingest(settings, tmp_path, role="all", history=True) as edges,
        grpc.aio.insecure_channel(edges.service.endpoints["grpc"]) as channel,
    ):
        stub: Any = ingest_pb2_grpc.IngestServiceStub(channel)
        token = mint(edges.token_secret, "test", TENANT, ["ingest.submit"])
        metadata = (("authorization", f"Bearer {token}"),)
        talks = [await submit(stub, metadata, name, name) for name in ("support", "sales")]
        found = Scene(edges, stub, *talks)
        for talk in talks:
            await until(partial(reads, found, "lead", ALL, "GetInteraction", talk))
        yield found


@asynccontextmanager
async def watching(scene: Scene, agent: str, scopes: Sequence[str], talk: Talk) -> AsyncIterator[Any]:
    request = ingest_pb2.WatchConversationRequest(conversation_id=talk.conversation, after_sequence=-1)
    call = scene.stub.WatchConversation(request, metadata=scene.metadata(agent, scopes), timeout=30)
    try:
        yield call
    finally:
        call.cancel()


READS: Final = ("GetConversation", "WatchConversation", "SearchConversations", "GetInteraction", "ListInteractions")


async def reads(scene: Scene, agent: str, scopes: Sequence[str], method: str, talk: Talk) -> bool:
    """Return whether this read shows the conversation. A refusal must be NOT_FOUND."""
    stub, options = scene.stub, {"metadata": scene.metadata(agent, scopes), "timeout": 10}
    try:
        match method:
            case "GetConversation":
                request = ingest_pb2.GetConversationRequest(conversation_id=talk.conversation)
                return bool((await stub.GetConversation(request, **options)).messages)
            case "WatchConversation":
                async with watching(scene, agent, scopes, talk) as call:
                    return bool((await call.read()).message.message.text)
            case "SearchConversations":
                found = await stub.SearchConversations(ingest_pb2.SearchConversationsRequest(), **options)
                return talk.conversation in {each.conversation_id for each in found.conversations}
            case "GetInteraction":
                one = await stub.GetInteraction(
                    ingest_pb2.GetInteractionRequest(interaction_id=talk.interaction), **options
                )
                return bool(one.interaction.queue)
            case _:
                listed = await stub.ListInteractions(ingest_pb2.ListInteractionsRequest(), **options)
                return talk.interaction in {each.interaction_id for each in listed.interactions}
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


async def seen(scene: Scene, agent: str, scopes: Sequence[str] = OWN) -> dict[str, set[str]]:
    """Return the conversations that each read shows."""
    talks = {"support": scene.support, "sales": scene.sales}
    return {
        method: {name for name, talk in talks.items() if await reads(scene, agent, scopes, method, talk)}
        for method in READS
    }


def by_each(*names: str) -> dict[str, set[str]]:
    return {method: set(names) for method in READS}


async def test_each_read_shows_an_agent_their_own_and_their_queues(scene: Scene) -> None:
    """A supervisor sees all, an agent their queue, an unknown agent nothing; agents see their own interactions whatever
    the queue."""
    assert await seen(scene, "lead", ALL) == by_each("support", "sales")
    assert await seen(scene, "sara") == by_each("support")
    assert await seen(scene, "omid") == by_each("sales")
    assert await seen(scene, "stranger") == by_each()
    await scene.assign(scene.sales, "sales", "sara")
    await until(lambda: reads(scene, "sara", OWN, "GetInteraction", scene.sales))
    assert await seen(scene, "sara") == by_each("support", "sales")
    assert await seen(scene, "omid") == by_each("sales")


async def test_an_agent_who_loses_a_queue_stops_seeing_its_conversations(scene: Scene) -> None:
    """An open watch ends by itself, and every other read no longer shows them."""
    async with watching(scene, "sara", OWN, scene.support) as call:
        assert (await call.read()).message.message.text == "hello"
        await scene.publish("config.v1", TENANT, queued("sales").SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() is grpc.StatusCode.NOT_FOUND
    assert await seen(scene, "sara") == by_each("sales")
