"""An agent's desk need not know the agent's pool: the configuration says it."""

from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.cli.config import publishing
from services.cli.desk import Connection, Desk, DeskClosed
from tests.contract.lane.real import eventually
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import TENANT, a_bench, a_router, a_token, settings_for

pytestmark = pytest.mark.kafka


def configured(*pools: tuple[str, str]) -> config_pb2.TenantConfiguration:
    """Return pools with a queue each; `pools`: agents and their pools."""
    return config_pb2.TenantConfiguration(
        tenant=TENANT,
        time_zone="UTC",
        pools=[config_pb2.Pool(name=name) for name in ("default", "night")],
        queues=[config_pb2.Queue(name=f"of-{name}", pool=name) for name in ("default", "night")],
        agents=[config_pb2.AgentProfile(agent_id=agent, pool=pool) for agent, pool in pools],
    )


async def test_a_desk_that_names_no_pool_is_in_the_agents(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """An agent of the pool night signs in, and is there; no agent is found in the wrong pool."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench:
        await publishing.apply(settings, configured(("mina", "night"), ("omid", "")), system_clock)
        async with a_router(settings_for(settings, tmp_path)) as router:
            address = router.endpoints["grpc"]
            async with Desk(address, a_token("mina")) as mina, Desk(address, a_token("omid")) as omid:
                await mina.welcomed()
                await omid.welcomed()
                await bench.until(lambda: len(begun(bench.events)) == 2)
                assert begun(bench.events) == {"mina": "night", "omid": "default"}
            for agent, pool, reason in (
                ("mina", "default", "OTHER_POOL"),
                ("omid", "night", "OTHER_POOL"),
                ("nobody", "", "UNKNOWN_AGENT"),
                ("nobody", "night", "UNKNOWN_AGENT"),
            ):
                async with Desk(address, a_token(agent), pool=pool) as lost:
                    with pytest.raises(DeskClosed) as closed:
                        await lost.welcomed()
                    assert closed.value.error is not None
                    assert closed.value.error.reason == reason
                    if reason == "OTHER_POOL":
                        assert f"the agent is in pool {begun(bench.events)[agent]}" in closed.value.error.message


async def test_the_newest_configuration_counts(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """An agent who was moved to another pool signs in there, without a restart of the router."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench:
        await publishing.apply(settings, configured(("mina", "night")), system_clock)
        async with a_router(settings_for(settings, tmp_path)) as router:
            async with Desk(router.endpoints["grpc"], a_token("mina")) as desk:
                await desk.welcomed()
            assert router.metrics.value("chapar_config_changes_total", "taken") == 1
            await publishing.apply(settings, configured(("mina", "default")), system_clock)
            await eventually(
                lambda: router.metrics.value("chapar_config_changes_total", "taken") == 2, "the new configuration"
            )
            async with Desk(router.endpoints["grpc"], a_token("mina")) as desk:
                await desk.welcomed()
                await bench.until(lambda: begun(bench.events) == {"mina": "default"})


async def test_an_agent_who_is_no_longer_configured_is_gone(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """The session ends when the configuration is applied; the work goes to the other agent, and a new sign-in is refused."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench:
        await publishing.apply(settings, configured(("mina", ""), ("omid", "")), system_clock)
        async with a_router(settings_for(settings, tmp_path)) as router:
            address = router.endpoints["grpc"]
            lost: list[Connection] = []
            async with (
                Desk(address, a_token("mina"), changed=lost.append) as mina,
                Desk(address, a_token("omid"), state=pb.AGENT_STATE_AWAY) as omid,
            ):
                await mina.welcomed()
                await omid.welcomed()
                work = await bench.enqueue("of-default")
                assert (await mina.accept((await mina.next("offered")).offered.offer_id)).ok
                await publishing.apply(settings, configured(("omid", "")), system_clock)
                with pytest.raises(DeskClosed) as closed:
                    await mina.next("offered")
                assert closed.value.error is not None
                assert [each.reason.partition(":")[0] for each in lost] == ["AGENT_REMOVED"]
                # The desk tries once more, because the agent might have been moved to another pool.
                assert closed.value.error.reason == "UNKNOWN_AGENT"
                await bench.until(lambda: bench.story(work)[-1] == "queued")
                assert (await omid.set_state(pb.AGENT_STATE_AVAILABLE)).ok
                offered = (await omid.next("offered")).offered
                assert offered.interaction.interaction_id == work


async def test_a_queue_and_its_agent_move_together(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> None:
    """The agent's desk connects again by itself, in the new pool, and is offered the work that they held."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench:
        before = configured(("mina", ""))
        await publishing.apply(settings, before, system_clock)
        async with (
            a_router(settings_for(settings, tmp_path)) as router,
            Desk(router.endpoints["grpc"], a_token("mina")) as mina,
        ):
            await mina.welcomed()
            work = await bench.enqueue("of-default")
            assert (await mina.accept((await mina.next("offered")).offered.offer_id)).ok
            after = configured(("mina", "night"))
            after.queues[0].pool = "night"
            await publishing.apply(settings, after, system_clock)
            offered = (await mina.next("offered")).offered
            assert offered.interaction.interaction_id == work
            assert offered.interaction.queue == "of-default"
            await bench.command(customer_messaged=pb.CustomerMessaged(interaction_id=work, message_id="m"))
            await bench.until(lambda: "customer_message_recorded" in bench.story(work))
            pools = {event.epoch: event.pool for event in bench.events if event.interaction.interaction_id == work}
            assert pools[1] == "default"
            assert pools[max(pools)] == "night"
            assert sorted(pools) == list(range(1, len(pools) + 1))


def begun(events: list[pb.RoutingEvent]) -> dict[str, str]:
    """Return the pool of each agent's newest change of state to available."""
    return {
        event.agent_state_changed.agent_id: event.pool
        for event in events
        if event.agent_state_changed.after == pb.AGENT_STATE_AVAILABLE
    }
