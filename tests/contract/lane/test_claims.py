"""Who owns a partition. Real Kafka only."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.claims import Claim
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from tests.contract.lane.real import SPEC, create_topics, eventually
from tests.contract.lane.rival import Deceived, Rival
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]


@pytest.fixture
async def topics(kafka: KafkaUnderTest, prefix: str) -> KafkaSettings:
    settings = kafka.settings(prefix)
    await create_topics(settings, 2)
    return settings


class Denied(Deceived):
    """The group says no."""

    def __init__(self) -> None:
        self.asked = 0

    async def still_ours(self, partition: int) -> bool:
        self.asked += 1
        return False


def nothing() -> BatchOutbox:
    return BatchOutbox(1, 1000)


async def test_nothing_is_claimed_without_asking_the_group(topics: KafkaSettings) -> None:
    """A zombie asks first, as often as it needs; while the group refuses, the owner is not fenced."""
    zombie = Rival(topics, source=(group := Denied()))
    async with Rival(topics) as owner, zombie.writer, asyncio.TaskGroup() as tasks:
        claiming = tasks.create_task(zombie.__aenter__())
        await eventually(lambda: group.asked >= 3, "asked three times")
        await owner.submit(nothing(), state=b"1").durable
        assert not claiming.done()
        claiming.cancel()


async def test_of_two_claimants_the_later_one_wins(topics: KafkaSettings) -> None:
    """The one that came first to the claim's id cannot claim any more, and cannot write."""
    slow = Rival(topics)
    async with slow.writer:
        incarnation = await slow.writer.incarnation()
        claimant = slow.writer.transactional_id(incarnation.cluster, f"{topics.topic_prefix}{SPEC.name}-0-claim")
        await claimant.initialise(20)
        async with Rival(topics) as fast:
            with pytest.raises(TransactionFailed) as failure:
                await slow.ownership._write_claim(claimant, incarnation.claim(7))
            assert failure.value.fenced
            await fast.submit(nothing(), state=b"fast").durable


async def test_a_released_partition_is_taken_without_a_fence(topics: KafkaSettings) -> None:
    """The former owner keeps its other partitions; without the release it would lose them."""
    for released in (True, False):
        async with Rival(topics, 0) as owner, Rival(topics, 0) as successor:
            del successor  # it has fenced the owner, who had not released
            with pytest.raises(TransactionFailed):
                await owner.submit(nothing(), state=b"1").durable
        async with Rival(topics, 0) as owner:
            if released:
                await owner.ownership.release(0)
            async with Rival(topics, 0):
                written = owner.submit_to(1, state=b"other partition")
                if released:
                    await written.durable
                else:
                    with pytest.raises(TransactionFailed) as failure:
                        await written.durable
                    assert failure.value.fenced


async def test_epochs_increase_over_claims(topics: KafkaSettings) -> None:
    """Also when an owner dies before it has written anything."""
    epochs = []
    for _ in range(4):
        async with Rival(topics) as owner:
            epochs.append(owner.epoch)
    assert epochs == [1, 2, 3, 4]


@given(st.builds(Claim, writer=st.text(max_size=50), turns=st.integers(1, 9), epoch=st.integers(0, 2**40)))
def test_a_claim_survives(claim: Claim) -> None:
    assert Claim.decode(claim.encode()) == claim
    assert claim.released().free
    assert claim.released().epoch == claim.epoch


@given(st.binary(max_size=60))
def test_other_bytes_are_no_claim(content: bytes) -> None:
    """They are refused, or are exactly the claim that they say."""
    try:
        found = Claim.decode(content)
    except ValueError:
        return
    assert Claim.decode(found.encode()) == found
