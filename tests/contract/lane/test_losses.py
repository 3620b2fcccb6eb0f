"""Partitions whose changelog or input was lost, beside others that were not; and an operator's decisions. Real Kafka only."""

import asyncio

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.evidence import ids_of
from services.chassis.kafka.intervention import LaneOperator, Repair, Situation
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka.transactions.topic_ids import topic_ids
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.ledger import OUT
from tests.contract.lane.real import SPEC, Running, Watch, create_topics, eventually, recreate_topic
from tests.contract.lane.rival import move_beyond_the_end
from tests.contract.lane.test_ownership import counts
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

PARTITIONS = 3


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, PARTITIONS)
    return settings


def operator(kafka: KafkaSettings) -> LaneOperator:
    return LaneOperator(kafka, SPEC, clock=system_clock)


async def with_history(kafka: KafkaSettings, feeder: DurableProducer) -> None:
    """Let a lane handle two records of each partition, and end."""
    watch = Watch()
    async with Running(kafka, watch) as lane:
        await lane.live()
        await feed(feeder)
        await feed(feeder)
        await lane.until(lambda: watch.records == 2 * PARTITIONS, "handled")


async def feed(feeder: DurableProducer, *partitions: int, command: bytes = b"add") -> None:
    for partition in partitions or range(PARTITIONS):
        await feeder.publish(SPEC.input, b"key-%d" % partition, command, partition=partition)


async def test_a_topic_has_an_id_and_its_successor_another(topics: KafkaSettings) -> None:
    """A topic that does not exist has none."""
    name, ids = topics.topic_prefix + OUT, set[str]()
    async with operator(topics) as looking:

        async def seen(count: int) -> bool:  # a broker answers before it knows a topic that was just created
            found = await topic_ids(looking._admin._client, (name, "no.such.topic"))
            assert found.keys() <= {name}
            ids.update(found.values())
            return len(ids) == count

        await eventually(lambda: seen(1), "an id")
        await recreate_topic(topics, OUT, 1)
        await eventually(lambda: seen(2), "another id")
    assert "" not in ids


async def test_other_partitions_go_on(topics: KafkaSettings) -> None:
    """One partition has lost its input's tail. Its neighbours work, the process counts as restored, and it says which."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
        await move_beyond_the_end(topics, 1)
        watch = Watch()
        async with Running(topics, watch) as lane:
            await lane.live()
            await feed(feeder)
            await lane.until(lambda: watch.records == 2, "the neighbours handle their records")
            assert watch.refusals == {1: "INPUT_TAIL_LOST"}
            assert lane.runner.partitions == (0, 2)
            assert lane.refused == {1: "INPUT_TAIL_LOST"}
    assert await counts(topics) == {"key-0": [1, 2, 3], "key-1": [1, 2], "key-2": [1, 2, 3]}


async def test_a_process_whose_every_partition_is_refused_is_not_ready(topics: KafkaSettings) -> None:
    """The changelog's topic was deleted and created again: nothing is handled."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
        await recreate_topic(topics, SPEC.changelog_topic, PARTITIONS)
        watch = Watch()
        async with Running(topics, watch) as lane:
            await lane.until(lambda: len(watch.refusals) == PARTITIONS, "all are refused")
            assert set(watch.refusals.values()) == {"CHANGELOG_LOST"}
            assert not lane.runner.restored
        assert watch.records == 0


async def test_a_changelog_that_is_replaced_under_a_running_lane_is_refused_at_the_next_start(
    topics: KafkaSettings,
) -> None:
    """The owner goes on writing and releases the partition, so the new changelog has a position and a claim: not the state."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        async with Running(topics, watch := Watch()) as lane:
            await lane.live()
            await feed(feeder)
            await lane.until(lambda: watch.records == PARTITIONS, "handled")
            await recreate_topic(topics, SPEC.changelog_topic, PARTITIONS)
            await feed(feeder)
            await lane.until(lambda: watch.records == 2 * PARTITIONS, "handled", within=40)
        async with Running(topics, again := Watch()) as lane:
            await lane.until(lambda: len(again.refusals) == PARTITIONS, "all are refused")
            assert set(again.refusals.values()) == {"CHANGELOG_LOST"}


async def test_an_input_that_is_replaced_under_a_running_lane_is_refused(topics: KafkaSettings) -> None:
    """Also when the new log is longer than the old one before the lane has read from it: another id is another topic."""
    watch = Watch()
    async with DurableProducer(topics, client_id="feeder") as feeder, Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder)
        await lane.until(lambda: watch.records == PARTITIONS, "handled")
        await recreate_topic(topics, SPEC.input, PARTITIONS)
        async with DurableProducer(topics, client_id="second") as second:
            for _ in range(3):
                await feed(second)
        await lane.until(lambda: len(watch.refusals) == PARTITIONS, "all are refused", within=60)
        assert set(watch.refusals.values()) == {"INPUT_RECREATED"}


async def test_a_running_lane_compares_the_id_before_it_commits_offsets(
    topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic can be replaced between two fetches, without an error or a rebalance: only its id shows it."""
    watch = Watch()
    async with DurableProducer(topics, client_id="feeder") as feeder, Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder)
        await lane.until(lambda: watch.records == PARTITIONS, "handled")

        async def another(client: object, *names: str) -> list[str]:
            return ["another", *(await ids_of(client, *names))[1:]]

        monkeypatch.setattr("services.chassis.kafka.membership.ids_of", another)
        await feed(feeder)
        await lane.until(lambda: len(watch.refusals) == PARTITIONS, "all are refused")
        assert set(watch.refusals.values()) == {"INPUT_RECREATED"}


async def test_a_running_lane_goes_on_after_an_operators_decision(topics: KafkaSettings) -> None:
    """No restart: the lane that waits sees the decision, and continues with its state at the offset that the operator chose."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
        await move_beyond_the_end(topics, 1)
        watch = Watch()
        async with Running(topics, watch) as lane:
            await lane.until(lambda: 1 in watch.refusals, "refused")
            async with operator(topics) as deciding:
                before = await deciding.decide(1, lambda situation: Repair(situation.input.end))
                assert before.loss is not None
                assert before.loss.reason == "INPUT_TAIL_LOST"
            await feed(feeder, 1)
            await lane.until(lambda: lane.runner.partitions == (0, 1, 2) and watch.records == 1, "it goes on")
            assert watch.refusals == {}
            assert lane.refused == {}
    assert (await counts(topics))["key-1"] == [1, 2, 3]


@pytest.mark.parametrize("forget", [False, True])
async def test_an_operator_may_begin_again(topics: KafkaSettings, *, forget: bool) -> None:
    """With the state, records that are handled again count twice; without it they count as at first. Epochs go on in both."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
        async with operator(topics) as deciding:
            before = await deciding.decide(0, lambda situation: Repair(situation.input.begin, forget=forget))
            assert before.found.entries == {b"count/key-0": b"2"}
            assert not before.works
        watch = Watch()
        async with Running(topics, watch) as lane:
            await lane.live()
            await lane.until(lambda: watch.records == 2, "handled again")
            assert lane.ledger(0).context.epoch > (before.found.claim.epoch if before.found.claim is not None else 0)
    assert (await counts(topics))["key-0"] == [1, 2, *([1, 2] if forget else [3, 4])]


async def test_a_lost_changelog_can_be_decided(topics: KafkaSettings) -> None:
    """The lane begins without a state where the operator says, with an epoch that no earlier owner had."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
        await recreate_topic(topics, SPEC.changelog_topic, PARTITIONS)
        async with operator(topics) as deciding:
            for partition in range(PARTITIONS):
                before = await deciding.decide(partition, lambda situation: Repair(situation.input.end))
                known = before.input.witness
                assert known is not None
                epoch = known.epoch
        watch = Watch()
        async with Running(topics, watch) as lane:
            await lane.live()
            assert lane.ledger(0).context.epoch > epoch
            await feed(feeder)
            await lane.until(lambda: watch.records == PARTITIONS, "handled")
    assert (await counts(topics))["key-0"] == [1, 2, 1]


async def test_a_record_is_skipped_while_the_lane_works(topics: KafkaSettings) -> None:
    """The owner is fenced, takes over again and leaves the record out; what it has handled is not repeated. The skip is
    forgotten when the lane has passed it."""
    watch = Watch()
    async with DurableProducer(topics, client_id="feeder") as feeder, Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder, 0)
        await lane.until(lambda: watch.records == 1, "handled")
        async with operator(topics) as deciding:
            before = await deciding.decide(0, lambda situation: Repair(skips=(situation.input.end + 1,)))
            assert before.works
        for command in (b"add", b"bug", b"add"):
            await feed(feeder, 0, command=command)
        await lane.until(lambda: watch.records == 4, "handled", within=40)
        assert watch.dead == ["SKIPPED_BY_OPERATOR"]
        assert watch.fences > 0
    async with Running(topics, Watch()) as lane:
        await lane.live()
    async with operator(topics) as looking:
        after = await looking.look(0)
        assert after.found.claim is not None
        assert after.found.claim.skips == ()
    assert (await counts(topics))["key-0"] == [1, 2, 3]


async def test_of_two_decisions_both_are_written_in_turn(topics: KafkaSettings) -> None:
    """Two operators at the same time: a claim is whole, or its writer was fenced by the other and wrote nothing; the epochs have an order."""
    async with DurableProducer(topics, client_id="feeder") as feeder:
        await with_history(topics, feeder)
    async with operator(topics) as one, operator(topics) as other:
        decisions = (each.decide(0, lambda _: Repair(0)) for each in (one, other))
        failed = [
            each for each in await asyncio.gather(*decisions, return_exceptions=True) if isinstance(each, BaseException)
        ]
        after = await one.look(0)
    assert len(failed) < 2
    assert all(isinstance(each, TransactionFailed) and each.fenced for each in failed), failed
    assert after.found.position is not None
    assert after.found.claim is not None
    assert after.found.position.epoch == after.found.claim.epoch


async def test_a_decision_that_is_refused_writes_nothing(topics: KafkaSettings) -> None:
    """`choose` raises for a lane that works: the owner is not fenced."""
    watch = Watch()

    def unless_it_works(situation: Situation) -> Repair:
        if situation.works:
            raise LookupError
        return Repair(0)

    async with DurableProducer(topics, client_id="feeder") as feeder, Running(topics, watch) as lane:
        await lane.live()
        await feed(feeder)
        await lane.until(lambda: watch.records == PARTITIONS, "handled")
        async with operator(topics) as deciding:
            with pytest.raises(LookupError):
                await deciding.decide(0, unless_it_works)
        await feed(feeder)
        await lane.until(lambda: watch.records == 2 * PARTITIONS, "handled")
    assert watch.fences == 0
