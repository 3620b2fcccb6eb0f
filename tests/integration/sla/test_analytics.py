"""Forecasts and measures on a real broker: reported, priority raised, read by gRPC, by ranges of time, and by no
other tenant."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.clock import system_clock
from services.chassis.jalali import JalaliDay
from services.chassis.tokens import TokenSource, read_secret
from services.cli.__main__ import app
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.sla.world import World, a_world, answered, configuration, eventually, target

pytestmark = pytest.mark.kafka
LATE = router.InteractionQueued(position=9, estimated_wait_ms=600_000, estimated_p90_ms=900_000)
SOON = router.InteractionQueued(position=1, estimated_wait_ms=0, estimated_p90_ms=0)


@pytest.fixture
async def world(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(kafka.settings(prefix), tmp_path) as made:
        yield made


def moment(ms: int) -> Timestamp:
    found = Timestamp()
    found.FromMilliseconds(ms)
    return found


def foretold(*targets: config.SlaTarget) -> config.TenantConfiguration:
    """Return a configuration with Tehran's days and Persian texts."""
    made = configuration(*targets)
    made.time_zone, made.default_language = "Asia/Tehran", "fa"
    return made


async def test_a_likely_breach_raises_the_priority_before_it_happens(world: World) -> None:
    """The estimated wait is ten minutes, the target two: PREDICTED comes at once and the priority is raised;
    ListAtRisk shows the most probable breach first."""
    pick_up = target("PICK_UP", 60_000, 120_000)
    pick_up.predict.probability, pick_up.predict.add_priority = 0.6, 9
    await world.apply(foretold(pick_up))
    async with world.replica() as service, world.client(service) as client:
        await world.route("fine", queued=SOON)
        await world.route("late", queued=LATE)
        await eventually(lambda: world.router.calls, why=lambda: world.told("late"))
        [(_, request)] = world.router.calls
        assert request.reprioritise == router.Reprioritise(interaction_id="late", add=9, reason="SLA_PREDICTION")
        assert ("PICK_UP", "PREDICTED", "ADEQUATE") in world.told("late")
        assert ("PICK_UP", "PREDICTED", "ADEQUATE") not in world.told("fine")
        ask = sla.ListAtRiskRequest(order=sla.AT_RISK_ORDER_PROBABILITY)
        ask.page.size = 1
        first = await answered(partial(client.ListAtRisk, ask, timeout=5), lambda a: a.page.next_cursor)
        ask.page.cursor = first.page.next_cursor
        second = await client.ListAtRisk(ask, timeout=5)
        assert [d.interaction_id for page in (first, second) for d in page.deadlines] == ["late", "fine"]
        assert not second.page.next_cursor
        assert first.deadlines[0].breach_probability > 0.6 > 0.2 > second.deadlines[0].breach_probability > 0
        likely = await client.ListAtRisk(sla.ListAtRiskRequest(least_probability=0.5), timeout=5)
        assert [d.interaction_id for d in likely.deadlines] == ["late"]
        await eventually(lambda: service.metrics.value("chapar_sla_at_risk", "PICK_UP", "sales") == 1)
        assert service.metrics.value("chapar_sla_forecast_open", "PICK_UP", "sales") == 2
        assert service.metrics.value("chapar_sla_predictions_total", "PICK_UP", "sales") == 1


async def test_measures_of_a_range(world: World) -> None:
    """Contacts, durations and targets come by queue and day, in the tenant's zone. Outside the range there is
    nothing, another tenant sees nothing, and the backlog is the open interactions."""
    await world.apply(foretold(target("PICK_UP", 30_000, 60_000)))
    now = system_clock()
    async with world.replica() as service, world.client(service) as client, world.client(service, "other") as stranger:
        await world.route("i1", queued=SOON, arrived_at_ms=now - 5_000)
        await world.route("i1", assigned=router.InteractionAssigned(agent_id="sara"))
        await world.route("i1", agent_replied=router.AgentReplied(agent_id="sara", first=True))
        await world.route("i1", completed=router.InteractionCompleted(agent_id="sara"))
        await world.route("i2", queued=SOON)
        await world.route("i3", queue="support", queued=SOON)
        ask = sla.GetMeasuresRequest(group_by=[sla.MEASURE_GROUP_QUEUE, sla.MEASURE_GROUP_DAY])
        found = await answered(
            partial(client.GetMeasures, ask, timeout=5),
            lambda a: sum(row.contacts for row in a.rows) == 3 and any(row.completed for row in a.rows),
        )
        assert (found.time_zone, found.language) == ("Asia/Tehran", "fa")
        assert found.repeat_window_ms == 7 * 86_400_000
        [sales] = [row for row in found.rows if row.key.queue == "sales"]
        assert (sales.contacts, sales.completed, sales.first_response.mean_ms.n) == (2, 1, 1)
        assert sales.first_response.sum_ms >= 5_000
        assert sales.first_response.mean_ms.low <= sales.first_response.mean_ms.value
        [kept] = sales.targets
        assert (kept.target, kept.met_desired, kept.breach_rate.value) == (config.TARGET_KIND_PICK_UP, 1, 0)
        assert (kept.desired_level.n, kept.desired_level.method) == (1, "wilson")
        assert sales.repeat_contacts.n == 2
        begins = sales.key.begins_at.ToMilliseconds()
        assert (begins + int(3.5 * 3_600_000)) % 86_400_000 == 0, "a day begins at midnight in Tehran"

        past = sla.GetMeasuresRequest(since=moment(now - 86_400_000), until=moment(now - 7_200_000))
        assert not (await client.GetMeasures(past, timeout=5)).rows
        assert not (await stranger.GetMeasures(sla.GetMeasuresRequest(), timeout=5)).rows
        level = await client.GetServiceLevel(
            sla.GetServiceLevelRequest(group_by=[sla.MEASURE_GROUP_QUEUE], since=moment(now - 3_600_000)), timeout=5
        )
        assert [(row.key.queue, row.attainment.over_offered.n) for row in level.rows] == [("sales", 1)]
        assert (level.over_offered.n, level.open) == (1, 2)

        backlog = await client.GetBacklog(sla.GetBacklogRequest(), timeout=5)
        assert [(r.queue, r.open, r.waiting, r.unanswered) for r in backlog.rows] == [
            ("sales", 1, 1, 1),
            ("support", 1, 1, 1),
        ]
        assert [age.open for age in backlog.rows[0].ages] == [1, 0, 0, 0, 0, 0, 0, 0]
        assert not (await stranger.GetBacklog(sla.GetBacklogRequest(), timeout=5)).rows


async def test_measures_by_command_line(world: World, tmp_path: Path) -> None:
    """`chapar sla measures`, `backlog`, `level`, `at-risk` and `export` against a running replica: Jalali days for a
    Persian tenant, JSON for programs, a file that holds the answer, and one sentence for an invalid time."""
    await world.apply(foretold(target("PICK_UP", 30_000, 60_000)))
    async with world.replica() as service, world.client(service) as client:
        await world.route("i1", queued=SOON)
        await world.route("i1", assigned=router.InteractionAssigned(agent_id="sara"))
        await world.route("i2", queued=LATE)
        await answered(
            partial(client.GetMeasures, sla.GetMeasuresRequest(), timeout=5),
            lambda a: a.rows and a.rows[0].pick_up.mean_ms.n == 1 and a.rows[0].contacts == 2,
        )
        token = TokenSource(read_secret(world.secret_file), "test", ("sla.read",))("acme")
        environment = {
            "CHAPAR_ADDRESS": service.endpoints["grpc"],
            "CHAPAR_TOKEN": token,
            "CHAPAR_TENANT": "acme",
            "CHAPAR_HOME": str(tmp_path),
        }

        async def chapar(*words: str, fails: bool = False) -> str:
            # In this process, in a thread: starting another process takes longer than the command itself.
            done = await asyncio.to_thread(CliRunner().invoke, app, ["sla", *words], env=environment)
            assert bool(done.exit_code) == fails, done.output
            return done.output

        file = tmp_path / "week.csv"
        days = await chapar("measures", "--from", "1d", "--by", "day", "--by", "queue")
        data = await chapar("measures", "--json", "--gregorian")
        backlog = await chapar("backlog")
        level = await chapar("level", "--from", "2h", "--by", "queue")
        risk = await chapar("at-risk", "--likeliest", "--json")
        exported = await chapar("export", str(file), "--from", "1d")
        refused = await chapar("measures", "--from", "yesterday", fails=True)
        today = str(JalaliDay.of(datetime.now(ZoneInfo("Asia/Tehran")).date()))
        assert today in days
        assert "sales" in days
        [row] = json.loads(data)
        assert (row["contacts"], row["pick_up"]["mean_ms"]["n"]) == ("2", "1")
        assert "2 (2)" in backlog
        assert "over offered" in level
        assert [d["interaction_id"] for d in json.loads(risk)] == ["i2"]
        assert "1 lines in" in exported
        [line] = list(csv.DictReader(file.read_text().splitlines()))
        assert (line["queue"], line["contacts"], line["pick_up_n"]) == ("sales", "2", "1")
        assert "INVALID_TIME" in refused
        assert "1405/09/06" in refused


async def test_invalid_queries_are_refused(world: World) -> None:
    """An unknown zone, a range that ends before it begins, hours and days at once, a cursor of another origin:
    INVALID_ARGUMENT."""
    await world.apply(configuration())
    async with world.replica(router_address="") as service, world.client(service) as client:
        page = sla.GetMeasuresRequest()
        page.page.cursor = "Zm9v"
        for ask in (
            partial(client.GetMeasures, sla.GetMeasuresRequest(time_zone="Mars/Olympus")),
            partial(client.GetMeasures, sla.GetMeasuresRequest(since=moment(2_000), until=moment(1_000))),
            partial(client.GetMeasures, sla.GetMeasuresRequest(since=Timestamp(seconds=-5))),
            partial(
                client.GetMeasures,
                sla.GetMeasuresRequest(group_by=[sla.MEASURE_GROUP_HOUR, sla.MEASURE_GROUP_DAY]),
            ),
            partial(client.GetMeasures, sla.GetMeasuresRequest(group_by=[sla.MEASURE_GROUP_UNSPECIFIED])),
            partial(client.GetMeasures, page),
            partial(client.ListAtRisk, sla.ListAtRiskRequest(least_probability=1.5)),
            partial(client.ListAtRisk, sla.ListAtRiskRequest(order=9)),  # type: ignore[arg-type]  # what a newer client may send
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(timeout=5)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
