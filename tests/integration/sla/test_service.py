"""sla on a real broker: deadlines are set, warned about, breached and kept, reported by gRPC, and raise priorities
at the router."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import grpc
import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.clock import system_clock
from services.chassis.lifecycle import Service
from services.sla.settings import SlaSettings
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.world import TENANT, World, a_world, answered, configuration, eventually, target

pytestmark = pytest.mark.kafka


@pytest.fixture
async def world(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(kafka.settings(prefix), tmp_path) as made:
        yield made


async def test_an_interaction_is_tracked_from_the_queue_to_the_reply(world: World) -> None:
    """A warning is given for the pick-up (and raises the priority); its desired level passes, and it is met at the
    adequate one. The first response is met at the desired level. GetDeadlines returns the same."""
    await world.apply(
        configuration(
            target("PICK_UP", 800, 60_000, 0.005, escalate=7),
            target("FIRST_RESPONSE", 60_000, 120_000, 0.75),
            target("RESOLUTION", 600_000, 900_000),
        )
    )
    async with world.replica() as service:
        await world.route("i1", queued=router.InteractionQueued(position=1))
        await eventually(
            lambda: ("PICK_UP", "DESIRED_PASSED", "DESIRED") in world.told("i1"), why=lambda: world.told("i1")
        )
        await world.route("i1", assigned=router.InteractionAssigned(agent_id="sara"))
        await world.route("i1", agent_replied=router.AgentReplied(agent_id="sara", first=True))
        await eventually(lambda: ("RESOLUTION", "PAUSED", "") in world.told("i1"), why=lambda: world.told("i1"))
        assert world.told("i1") == [
            ("PICK_UP", "DEADLINE_SET", ""),
            ("FIRST_RESPONSE", "DEADLINE_SET", ""),
            ("RESOLUTION", "DEADLINE_SET", ""),
            ("PICK_UP", "WARNED", "ADEQUATE"),
            ("PICK_UP", "DESIRED_PASSED", "DESIRED"),
            ("PICK_UP", "MET", "ADEQUATE"),
            ("FIRST_RESPONSE", "MET", "DESIRED"),
            ("RESOLUTION", "PAUSED", ""),
        ]
        for event in world.events:
            if event.kind == sla.SLA_EVENT_KIND_DESIRED_PASSED:
                assert event.occurred_at_ms >= event.desired_at_ms, "never early"

        async with world.client(service) as client:

            async def states() -> dict[str, str]:
                answer = await client.GetDeadlines(sla.GetDeadlinesRequest(interaction_id="i1"), timeout=5)
                return {
                    config.TargetKind.Name(d.target)[12:]: sla.DeadlineState.Name(d.state)[15:]
                    for d in answer.deadlines
                }

            wanted = {"PICK_UP": "MET", "FIRST_RESPONSE": "MET", "RESOLUTION": "PAUSED"}
            await answered(states, wanted.__eq__)

        await eventually(lambda: world.router.calls)
        caller, request = world.router.calls[0]
        warned = next(e for e in world.events if e.kind == sla.SLA_EVENT_KIND_WARNED)
        assert (caller.tenant, caller.scopes) == (TENANT, frozenset({"routing.escalate"}))
        assert request.idempotency_key == warned.event_id
        assert request.reprioritise == router.Reprioritise(interaction_id="i1", add=7, reason="SLA_WARNING")
        assert service.metrics.value("chapar_sla_breaches_total", "PICK_UP", "DESIRED", "sales") == 1
        assert service.metrics.value("chapar_sla_timers_past_due") == 0


async def test_a_deadline_outlives_the_process_that_set_it(world: World) -> None:
    """The replica that set the deadline stops. A milestone that falls due meanwhile is reported once by the next
    replica, and never early."""
    await world.apply(configuration(target("PICK_UP", 1_500, 3_000)))
    async with world.replica("sla-1"):
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.told("i1"))
    async with world.replica("sla-2"):
        await eventually(lambda: ("PICK_UP", "BREACHED", "ADEQUATE") in world.told("i1"), why=lambda: world.told("i1"))
    assert world.told("i1") == [
        ("PICK_UP", "DEADLINE_SET", ""),
        ("PICK_UP", "DESIRED_PASSED", "DESIRED"),
        ("PICK_UP", "BREACHED", "ADEQUATE"),
    ]
    assert [e.occurred_at_ms >= due for e, due in _fired(world)] == [True, True]
    assert len({e.event_id for e in world.events}) == len(world.events)


async def test_a_reply_in_time_is_never_a_breach_because_sla_was_down(world: World) -> None:
    """The agent replied in time while no replica ran. The next replica, although it is late, reports MET and no
    breach."""
    await world.apply(configuration(target("FIRST_RESPONSE", 2_000, 2_500)))
    async with world.replica("sla-1"):
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.told("i1"))
    await world.route("i1", agent_replied=router.AgentReplied(agent_id="sara", first=True))
    due = world.events[0].adequate_at_ms
    await eventually(lambda: system_clock() > due + 500)
    async with world.replica("sla-2"):
        await eventually(lambda: len(world.told("i1")) > 1)
    assert world.told("i1") == [("FIRST_RESPONSE", "DEADLINE_SET", ""), ("FIRST_RESPONSE", "MET", "DESIRED")]


async def test_no_priority_is_lost_while_the_router_is_unavailable(world: World) -> None:
    """While the router answers UNAVAILABLE, the warning waits; when the router is back, the priority is raised, with
    the same key."""
    world.router.refuse = grpc.StatusCode.UNAVAILABLE
    await world.apply(configuration(target("PICK_UP", 60_000, 120_000, 0.001, escalate=3)))
    async with world.replica():
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.router.asked >= 2)
        assert not world.router.calls
        world.router.refuse = None
        await eventually(lambda: world.router.calls)
    assert {request.idempotency_key for _, request in world.router.calls} == {
        e.event_id for e in world.events if e.kind == sla.SLA_EVENT_KIND_WARNED
    }


async def test_any_replica_answers_for_all_partitions(world: World) -> None:
    """Two replicas share the partitions. Each returns all deadlines, the nearest first, page by page, and the
    service level."""
    await world.apply(configuration(target("PICK_UP", 30_000, 60_000)))
    async with world.replica("sla-1") as one, world.replica("sla-2") as two:
        for service in (one, two):
            await eventually(partial(owns_one_partition, service))
        names = [f"i{number}" for number in range(6)]
        for name in names:
            await world.route(name, queued=router.InteractionQueued())
        await world.route("i0", assigned=router.InteractionAssigned(agent_id="sara"))
        await world.route("i1", abandoned=router.InteractionAbandoned())
        await eventually(lambda: len(world.events) == 8, why=lambda: world.events)
        for service in (one, two):
            async with world.client(service) as client:
                level = await answered(
                    partial(client.GetServiceLevel, sla.GetServiceLevelRequest(), timeout=5),
                    lambda a: (a.open, a.over_offered.n) == (4, 2),
                )
                assert (level.over_offered.n, level.over_offered.value) == (2, 0.5)
                assert (level.over_offered_less_short_abandons.n, level.over_answered.n) == (1, 1)
                assert level.over_answered.method == "wilson"
                assert 0 < level.over_answered.low < 1
                found: list[str] = []
                cursor = ""
                while True:
                    request = sla.ListAtRiskRequest(within_ms=90_000)
                    request.page.size, request.page.cursor = 3, cursor
                    page = await client.ListAtRisk(request, timeout=5)
                    found += [d.interaction_id for d in page.deadlines]
                    cursor = page.page.next_cursor
                    if not cursor:
                        break
                assert found == names[2:]


async def test_no_tenant_sees_another_tenants_interactions(world: World) -> None:
    """Another tenant's interaction does not exist for the caller, in any method."""
    await world.apply(configuration(target("PICK_UP", 30_000, 60_000)))
    async with world.replica() as service, world.client(service, "other") as stranger, world.client(service) as own:
        await world.route("i1", queued=router.InteractionQueued())
        await answered(partial(own.ListAtRisk, sla.ListAtRiskRequest(), timeout=5), lambda a: a.deadlines)
        assert not (await stranger.ListAtRisk(sla.ListAtRiskRequest(), timeout=5)).deadlines
        assert (await stranger.GetServiceLevel(sla.GetServiceLevelRequest(), timeout=5)).open == 0
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stranger.GetDeadlines(sla.GetDeadlinesRequest(interaction_id="i1"), timeout=5)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watchers_see_events_as_they_are_committed(world: World) -> None:
    """A watcher gets what it asked for: its tenant, its queue, its kinds."""
    await world.apply(configuration(target("PICK_UP", 200, 60_000)))
    async with world.replica() as service, world.client(service) as client:
        request = sla.WatchEventsRequest(queue="sales", kinds=[sla.SLA_EVENT_KIND_DESIRED_PASSED])
        stream = client.WatchEvents(request, timeout=20)
        await stream.initial_metadata()
        await world.route("other", queue="support", queued=router.InteractionQueued())
        await world.route("i1", queued=router.InteractionQueued())
        first = await anext(aiter(stream))
        assert (first.event.interaction_id, first.event.kind) == ("i1", sla.SLA_EVENT_KIND_DESIRED_PASSED)
        stream.cancel()


def owns_one_partition(service: Service[SlaSettings]) -> bool:
    return service.metrics.value("chapar_lane_partitions", "sla") == 1


def _fired(world: World) -> list[tuple[sla.SlaEvent, int]]:
    return [
        (e, e.desired_at_ms if e.level == sla.SLA_LEVEL_DESIRED else e.adequate_at_ms)
        for e in world.events
        if e.kind in (sla.SLA_EVENT_KIND_DESIRED_PASSED, sla.SLA_EVENT_KIND_BREACHED)
    ]


async def test_a_priority_that_the_router_refuses_delays_nothing(world: World) -> None:
    """The interaction was closed meanwhile: NOT_FOUND is counted and skipped, and the next warning is processed."""
    world.router.refuse = grpc.StatusCode.NOT_FOUND
    await world.apply(configuration(target("PICK_UP", 60_000, 120_000, 0.001, escalate=3)))
    async with world.replica() as service:
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: service.metrics.value("chapar_sla_reprioritise_total", "refused") == 1)
        world.router.refuse = None
        await world.route("i2", queued=router.InteractionQueued())
        await eventually(lambda: world.router.calls)
        assert world.router.calls[0][1].reprioritise.interaction_id == "i2"
        assert world.router.asked == 2


async def test_an_invalid_configuration_changes_nothing(world: World) -> None:
    """The running version stays in force for new interactions; a later valid one is adopted; open interactions keep
    their targets."""
    await world.apply(configuration(target("PICK_UP", 30_000, 60_000)))
    async with world.replica() as service:
        await world.apply(configuration(target("PICK_UP", 60_000, 30_000), version=2))
        await eventually(lambda: service.metrics.value("chapar_config_changes_total", "refused") == 1)
        await world.route("i1", queued=router.InteractionQueued())
        await eventually(lambda: world.told("i1"))
        await world.apply(configuration(target("PICK_UP", 1_000, 60_000), version=3))
        await eventually(lambda: service.metrics.value("chapar_config_changes_total", "taken") == 2)
        await world.route("i2", queued=router.InteractionQueued())
        await eventually(lambda: ("PICK_UP", "DESIRED_PASSED", "DESIRED") in world.told("i2"))
        assert world.told("i1") == [("PICK_UP", "DEADLINE_SET", "")]
        spans = {e.interaction_id: e.desired_at_ms - e.occurred_at_ms for e in reversed(world.events)}
        assert 29_000 < spans["i1"] <= 30_000


async def test_invalid_queries_are_refused(world: World) -> None:
    """Only a cursor of this service, a page of at most 500, an id, a known target: anything else is
    INVALID_ARGUMENT, never an internal error."""
    await world.apply(configuration())
    async with world.replica(router_address="") as service, world.client(service) as client:
        far = sla.ListAtRiskRequest()
        far.page.cursor = "Zm9v"
        large = sla.ListAtRiskRequest()
        large.page.size = 501
        for ask in (
            partial(client.ListAtRisk, far),
            partial(client.ListAtRisk, large),
            partial(client.ListAtRisk, sla.ListAtRiskRequest(within_ms=-1)),
            partial(client.GetDeadlines, sla.GetDeadlinesRequest()),
            partial(client.GetServiceLevel, sla.GetServiceLevelRequest(target=77)),  # type: ignore[arg-type]  # what a newer client may send
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(timeout=5)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_replica_remains_ready_while_its_lanes_move(world: World) -> None:
    """A second replica joins and leaves. Calls are answered from the read model, which needs no lane of its own process."""
    await world.apply(configuration(target("PICK_UP", 60_000, 120_000)))
    async with world.replica() as service:
        told: list[bool] = []
        service.health.on_change(told.append)
        lane = service.health.component("lanes")
        restored: list[str] = []
        changed = lane._changed

        def note() -> None:
            restored.append(lane.reason)
            changed()

        lane._changed = note
        async with world.replica("sla-2"):
            pass
        await eventually(lambda: "restoring" in restored and not lane.reason, why=lambda: restored)
        assert told == [True]
