"""RoutingService and AgentDirectoryService by real gRPC on real Kafka; with two replicas, so that half of the calls are forwarded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import chapar_errors, grpc_channel
from services.chassis.tokens import mint
from services.cli.desk import Desk, DeskClosed
from tests.contract.lane.real import read_all
from tests.fixtures.broker import KafkaUnderTest
from tests.hostile.grpc_floods import until, upsert_agent_flood
from tests.integration.router.stand import SECRET, TENANT, Bench, a_bench, a_router, a_token, settings_for

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def two_routers(
    kafka: KafkaUnderTest, prefix: str, folder: Path
) -> AsyncIterator[tuple[Bench, list[grpc.aio.Channel], list[str]]]:
    """Yield a bench, a channel to each of two replicas, and their addresses."""
    settings = kafka.settings(prefix)
    async with (
        a_bench(settings) as bench,
        a_router(settings_for(settings, folder, "router-0")) as first,
        a_router(settings_for(settings, folder, "router-1")) as second,
    ):
        addresses = [service.endpoints["grpc"] for service in (first, second)]
        async with (
            grpc_channel(addresses[0], token=lambda _tenant: a_token()) as one,
            grpc_channel(addresses[1], token=lambda _tenant: a_token()) as two,
        ):
            await bench.configure()
            yield bench, [one, two], addresses


async def test_any_replica_answers_and_changes_anything(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Reads are forwarded to the shard's owner, changes go through the log; a change by one replica is visible at the other."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, channels, _addresses):
        interaction = await bench.enqueue()
        await bench.until(lambda: bench.story(interaction) == ["queued"])
        for number, channel in enumerate(channels):
            routing = router_pb2_grpc.RoutingServiceStub(channel)
            directory = router_pb2_grpc.AgentDirectoryServiceStub(channel)
            with chapar_errors():
                queues = (await routing.ListQueues(api.ListQueuesRequest())).queues
                assert {view.queue: view.waiting for view in queues} == {"sales": 1, "support": 0}
                one = (await routing.GetQueue(api.GetQueueRequest(queue="sales"))).queue
                assert (one.waiting, one.agents_signed_in, one.estimated_wait_ms) == (1, 0, -1)
                (waiting,) = (await routing.ListWaiting(api.ListWaitingRequest(queue="sales"))).waiting
                assert (waiting.interaction.interaction_id, waiting.position) == (interaction, 1)
                why = await routing.Explain(api.ExplainRequest(interaction_id=interaction))
                assert (why.state, why.considered, why.position) == ("waiting", 2 + number, 1)
                assert {x.reason: x.count for x in why.excluded} == {"OFFLINE": 2 + number}
                assert why.smallest_change == "agent-0 signs in"
                estimate = await routing.EstimateWait(api.EstimateWaitRequest(queue="sales"))
                assert (estimate.p50_ms, estimate.method, estimate.position) == (-1, "NO_AGENTS", 2)
                profile = config_pb2.AgentProfile(agent_id=f"new-{number}", skills={"persian": 4})
                for _ in range(2):  # a repetition has the same result
                    await directory.UpsertAgent(api.UpsertAgentRequest(idempotency_key=f"k{number}", agent=profile))
                agent = (await directory.GetAgent(api.GetAgentRequest(agent_id=f"new-{number}"))).agent
                assert dict(agent.profile.skills) == {"persian": 4}
                raised = api.ReprioritiseRequest(
                    idempotency_key=f"raise-{number}",
                    reprioritise=pb.Reprioritise(interaction_id=interaction, add=3, reason="SLA_WARNING"),
                )
                await routing.Reprioritise(raised)
        routing = router_pb2_grpc.RoutingServiceStub(channels[0])
        (waiting,) = (await routing.ListWaiting(api.ListWaitingRequest())).waiting
        assert waiting.effective_priority == 6
        page = types_pb2.PageRequest(size=3)
        first = await router_pb2_grpc.AgentDirectoryServiceStub(channels[1]).ListAgents(
            api.ListAgentsRequest(page=page)
        )
        page.cursor = first.page.next_cursor
        rest = await router_pb2_grpc.AgentDirectoryServiceStub(channels[1]).ListAgents(api.ListAgentsRequest(page=page))
        assert [a.profile.agent_id for a in (*first.agents, *rest.agents)] == ["agent-0", "agent-1", "new-0", "new-1"]
        cancel = api.CancelRequest(
            idempotency_key="c", cancel=pb.CancelInteraction(interaction_id=interaction, reason="SPAM")
        )
        await routing.Cancel(cancel)
        await bench.until(lambda: bench.story(interaction)[-1] == "cancelled")


async def test_an_invalid_request_is_refused_with_a_reason(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Errors are typed, and the same from either replica."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, channels, _addresses):
        await bench.until(lambda: True)
        for channel in channels:
            routing = router_pb2_grpc.RoutingServiceStub(channel)
            directory = router_pb2_grpc.AgentDirectoryServiceStub(channel)
            refused: dict[Any, str] = {
                routing.Explain(api.ExplainRequest(interaction_id="nobody")): "UNKNOWN_INTERACTION",
                routing.GetQueue(api.GetQueueRequest(queue="nowhere")): "UNKNOWN_QUEUE",
                routing.GetQueue(api.GetQueueRequest(pool="misspelt", queue="sales")): "UNKNOWN_QUEUE",
                directory.GetAgent(api.GetAgentRequest(agent_id="nobody")): "UNKNOWN_AGENT",
                routing.Cancel(api.CancelRequest(cancel=pb.CancelInteraction(interaction_id="x"))): "INVALID_FIELD",
                routing.ListWaiting(api.ListWaitingRequest(page=types_pb2.PageRequest(size=501))): "INVALID_FIELD",
                routing.ListWaiting(api.ListWaitingRequest(page=types_pb2.PageRequest(cursor="å"))): "INVALID_FIELD",
                routing.Assign(
                    api.AssignRequest(idempotency_key="a", assign=pb.AssignInteraction(interaction_id="x"))
                ): "INVALID_FIELD",
                routing.RequestCallback(
                    api.RequestCallbackRequest(
                        idempotency_key="b", callback=pb.RequestCallback(interaction_id="x", at_ms=-1)
                    )
                ): "INVALID_FIELD",
                routing.Reroute(
                    api.RerouteRequest(
                        idempotency_key="r",
                        reroute=pb.Reroute(
                            interaction_id="x", replace_requirements=True, requirements=[types_pb2.Selector()]
                        ),
                    )
                ): "INVALID_FIELD",
                directory.SetAgentState(
                    api.SetAgentStateRequest(
                        idempotency_key="s", set=pb.SetAgentState(agent_id="agent-0", state=pb.AGENT_STATE_AVAILABLE)
                    )
                ): "AGENT_NOT_SIGNED_IN",
            }
            for call, reason in refused.items():
                with pytest.raises(ChaparError) as error, chapar_errors():
                    await call
                assert error.value.reason == reason


async def test_supervisors_and_desks_hand_out_work_without_offers(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """Assign, pick, warm transfer and recall, callback work with the scope, at either replica, and are refused for an outdated epoch."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, channels, addresses):
        routing = router_pb2_grpc.RoutingServiceStub(channels[1])
        order = pb.AssignInteraction(interaction_id="x", agent_id="agent-0")
        token = mint(SECRET, "reader", TENANT, ("routing.read",), "", 600)
        async with grpc_channel(addresses[0], token=lambda _tenant: token) as channel:
            reader = router_pb2_grpc.RoutingServiceStub(channel)
            for call in (
                reader.Assign(api.AssignRequest(idempotency_key="k", assign=order)),
                reader.RequestCallback(
                    api.RequestCallbackRequest(idempotency_key="k", callback=pb.RequestCallback(interaction_id="x"))
                ),
            ):
                with pytest.raises(ChaparError) as error, chapar_errors():
                    await call
                assert error.value.kind is ErrorKind.PERMISSION_DENIED
        async with (
            Desk(addresses[0], a_token("agent-0"), state=pb.AGENT_STATE_AWAY) as ali,
            Desk(addresses[1], a_token("agent-1"), state=pb.AGENT_STATE_AWAY) as sara,
        ):
            await asyncio.gather(ali.welcomed(), sara.welcomed())
            first = await bench.enqueue()
            await bench.until(lambda: bench.story(first) == ["queued"])
            assert (await ali.pick(first)).reason == "AWAY"
            explained = await routing.Explain(api.ExplainRequest(interaction_id=first))
            forced = api.AssignRequest(
                idempotency_key="f",
                assign=pb.AssignInteraction(interaction_id=first, agent_id="agent-0", force=True),
                expected_epoch=explained.epoch + 1,
            )
            with pytest.raises(ChaparError) as error, chapar_errors():
                await routing.Assign(forced)
            assert (error.value.reason, error.value.kind) == ("STALE_EPOCH", ErrorKind.ABORTED)
            forced.idempotency_key, forced.expected_epoch = "g", explained.epoch
            await routing.Assign(forced)
            assert (await ali.next("assigned")).assigned.interaction.interaction_id == first
            assert (await ali.transfer(first, queue="support", labels={"order": "17"}, warm=True)).ok
            assert (await ali.reply(first, "a colleague will join us")).ok
            assert (await sara.set_state(pb.AGENT_STATE_AVAILABLE)).ok
            offered = (await sara.next("offered")).offered
            assert dict(offered.interaction.labels)["order"] == "17"
            assert (await ali.recall(first)).ok
            assert (await sara.next("revoked")).revoked.reason == "TRANSFER_RECALLED"
            assert (await ali.complete(first)).ok
            assert (await sara.decline("nothing", retry_after_ms=-1)).reason == "REQUEST_INVALID"
            assert (await sara.set_state(pb.AGENT_STATE_AWAY)).ok
            second = await bench.enqueue()
            await bench.until(lambda: bench.story(second) == ["queued"])
            callback = pb.RequestCallback(interaction_id=second)
            await routing.RequestCallback(api.RequestCallbackRequest(idempotency_key="c", callback=callback))
            assert (await routing.Explain(api.ExplainRequest(interaction_id=second))).state == "waiting"


async def test_watching_queues_shows_changes(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """A new response comes at each interval, from either replica."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, channels, _addresses):
        for number, channel in enumerate(channels, 1):
            stream = router_pb2_grpc.RoutingServiceStub(channel).WatchQueues(api.WatchQueuesRequest(interval_ms=200))
            await bench.enqueue()
            async with asyncio.timeout(20):
                async for answer in stream:
                    if sum(view.waiting for view in answer.queues) == number:
                        break
                else:
                    pytest.fail("the stream ended before it showed the queued interaction")
            stream.cancel()


async def test_a_session_is_the_tokens_agents_alone(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Another agent's token, one without an agent, and an unknown agent are refused. A second desk replaces the first, which does not return."""
    async with two_routers(kafka, prefix, tmp_path) as (_bench, _channels, addresses):
        async with Desk(addresses, a_token("agent-0"), "agent-1") as desk:
            with pytest.raises(DeskClosed) as closed:
                await desk.welcomed()
            assert closed.value.error is not None
            assert closed.value.error.kind is ErrorKind.PERMISSION_DENIED
        nobody = mint(SECRET, "agent-0", TENANT, ["agent.session"])
        async with Desk(addresses, nobody, "agent-0") as desk:
            with pytest.raises(DeskClosed) as closed:
                await desk.welcomed()
            assert closed.value.error is not None
            assert closed.value.error.reason == "NO_AGENT"
        async with Desk(addresses, a_token("stranger"), "stranger") as desk:
            with pytest.raises(DeskClosed) as closed:
                await desk.welcomed()
            assert closed.value.error is not None
            assert closed.value.error.reason == "UNKNOWN_AGENT"
        async with Desk(addresses[0], a_token("agent-0")) as first:
            await first.welcomed()
            async with Desk(addresses[1], a_token("agent-0")) as second:
                await second.welcomed()
                with pytest.raises(DeskClosed) as closed:
                    await first.next("offered")
                assert closed.value.error is not None
                assert closed.value.error.reason == "SESSION_REPLACED"


async def test_a_desk_that_signs_out_stays_out(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """By leaving, by the state OFFLINE, or by a supervisor: the result comes, the session ends, and no other session begins."""
    async with two_routers(kafka, prefix, tmp_path) as (_bench, channels, addresses):
        directory = router_pb2_grpc.AgentDirectoryServiceStub(channels[1])

        async def state() -> int:
            found = await directory.GetAgent(api.GetAgentRequest(agent_id="agent-0"))
            return found.agent.snapshot.state

        async with Desk(addresses, a_token("agent-0")) as desk:
            await desk.welcomed()
            assert await state() == pb.AGENT_STATE_AVAILABLE
        assert (await state(), desk.sessions) == (pb.AGENT_STATE_OFFLINE, 1)
        async with Desk(addresses, a_token("agent-0")) as desk:
            await desk.welcomed()
            assert (await desk.set_state(pb.AGENT_STATE_OFFLINE)).ok
            with pytest.raises(DeskClosed, match="signed out"):
                await desk.next("offered")
        async with Desk(addresses, a_token("agent-0")) as desk:
            await desk.welcomed()
            offline = pb.SetAgentState(agent_id="agent-0", state=pb.AGENT_STATE_OFFLINE)
            await directory.SetAgentState(api.SetAgentStateRequest(idempotency_key="out", set=offline))
            with pytest.raises(DeskClosed, match="signed out"):
                await desk.next("offered")
        assert (await state(), desk.sessions) == (pb.AGENT_STATE_OFFLINE, 1)


async def test_a_desk_gets_a_result_for_each_request(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """Decline, transfer, states, credits and invalid requests each get a result with a reason."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, _channels, addresses):
        async with (
            Desk(addresses[0], a_token("agent-0"), credits=1) as ali,
            Desk(addresses[1], a_token("agent-1"), state=pb.AGENT_STATE_AWAY) as sara,
        ):
            await asyncio.gather(ali.welcomed(), sara.welcomed())
            assert sara.snapshot.state == pb.AGENT_STATE_AWAY
            interaction = await bench.enqueue()
            offer = (await ali.next("offered")).offered
            assert (await ali.reply(interaction, "too early")).reason == "NOT_ASSIGNED"
            assert (await sara.accept(offer.offer_id)).reason == "NOT_YOURS"
            assert (await ali.accept(offer.offer_id)).ok
            assert (await ali.reply(interaction, " ")).reason == "TEXT_EMPTY"
            wrong = await ali.reply(interaction, "hello", cc=["sara@mail.example", "nobody"])
            assert (wrong.reason, wrong.message) == ("RECIPIENTS_INVALID", "'nobody' is not an e-mail address")
            assert (await ali.reply_by_template(interaction, types_pb2.TemplateChoice())).reason == "TEXT_EMPTY"
            assert (await ali.transfer(interaction, to_agent_id="agent-1")).reason == "AGENT_NOT_AVAILABLE"
            assert (await ali.transfer(interaction, queue="nowhere")).reason == "UNKNOWN_QUEUE"
            assert (await ali.transfer(interaction, queue="support")).ok
            assert (await ali.next("ended")).ended.reason == "TRANSFERRED"
            assert (await sara.set_state(pb.AGENT_STATE_AVAILABLE)).ok
            offer = (await sara.next("offered")).offered
            assert offer.interaction.queue == "support"
            assert (await sara.decline(offer.offer_id, "lunch", retry_after_ms=50)).ok
            offer = (await sara.next("offered")).offered
            assert (await sara.accept(offer.offer_id)).ok
            assert (await sara.complete(interaction)).ok
            assert (await ali.grant_credits(3)).ok
        assert await read_all(bench.kafka, "outbound.v1") == []


async def test_a_reply_by_a_template_names_it_for_the_sender(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """The request to send has the template with its values, sealed, and no text."""
    choice = types_pb2.TemplateChoice(name="order_ready", parameters=["12", "today"])
    async with two_routers(kafka, prefix, tmp_path) as (bench, _channels, addresses):
        async with Desk(addresses[0], a_token("agent-0"), credits=1) as ali:
            await ali.welcomed()
            interaction = await bench.enqueue()
            assert (await ali.accept((await ali.next("offered")).offered.offer_id)).ok
            assert (await ali.reply_by_template(interaction, choice)).ok
        (record,) = await read_all(bench.kafka, "outbound.v1")
        request = ingest_pb2.OutboundRecord.FromString(record.value or b"").request
        assert (request.template.name, request.text) == ("order_ready", "")
        assert list(request.template.parameters) == [], "the values are personal data"


async def test_agents_for_unknown_pools_are_refused_at_once_and_create_no_pool(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """A flood of them leaves no engine, no state and no metric by name; other callers are served in the meantime."""
    async with two_routers(kafka, prefix, tmp_path) as (bench, channels, addresses):
        interaction = await bench.enqueue()
        await bench.until(lambda: bench.story(interaction) == ["queued"])
        async with upsert_agent_flood(addresses[0], a_token()) as flood:
            await until(lambda: flood.codes["FAILED_PRECONDITION"] >= 200, 60)
            with chapar_errors():
                routing = router_pb2_grpc.RoutingServiceStub(channels[1])
                assert (await routing.GetQueue(api.GetQueueRequest(queue="sales"))).queue.waiting == 1
        # Those beyond the tenant's quota of changes are refused before they reach the log.
        assert flood.codes.keys() <= {"FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
        directory = router_pb2_grpc.AgentDirectoryServiceStub(channels[0])
        for profile, reason, field in (
            (config_pb2.AgentProfile(agent_id="m", pool="invented-1-"), "UNKNOWN_POOL", ""),
            (config_pb2.AgentProfile(agent_id="m", pool="x" * 200_000), "INVALID_FIELD", "agent.pool"),
            (config_pb2.AgentProfile(agent_id="m", display_name="x" * 200_000), "INVALID_FIELD", "agent.display_name"),
            (config_pb2.AgentProfile(agent_id="m", pool="a/b"), "INVALID_FIELD", "pool"),
            (config_pb2.AgentProfile(agent_id="m", pool="a|b"), "INVALID_FIELD", "pool"),
        ):
            with pytest.raises(ChaparError) as refused, chapar_errors():
                await directory.UpsertAgent(api.UpsertAgentRequest(idempotency_key="k", agent=profile))
            assert refused.value.reason == reason
            assert [each.field for each in refused.value.violations] == ([field] if field else [])
        with chapar_errors():
            assert not (await directory.ListAgents(api.ListAgentsRequest(pool="invented-1-"))).agents
