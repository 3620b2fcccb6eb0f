"""Transactions and requests are counted as the broker sees them."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from services.chassis.kafka.clients import admin_client
from services.chassis.kafka_settings import KafkaSettings
from tests.bench.counted_broker import RequestReader, a_counted_broker
from tests.bench.transaction_log import ended_since, ends


def a_request(kind: int, body: bytes) -> bytes:
    return (2 + len(body)).to_bytes(4) + kind.to_bytes(2) + body


STREAM = a_request(0, bytes(40)) + a_request(1, b"") + a_request(1, b"\0\0\0\5") + a_request(999, bytes(3))
KINDS = Counter({"Fetch": 2, "Produce": 1, "kind 999": 1})


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 44, 46, len(STREAM)])
def test_requests_are_found_however_they_are_cut(size: int) -> None:
    """TCP keeps no boundaries: a piece may end in a length, in a kind or in a body."""
    counts: Counter[str] = Counter()
    reader = RequestReader(counts)
    cuts = [*range(0, len(STREAM), size), len(STREAM)]
    for first, last in pairwise(cuts):
        reader.feed(STREAM[first:last])
    assert counts == KINDS


async def transactions(kafka: KafkaSettings, name: str, committed: int, aborted: int) -> None:
    producer = AIOKafkaProducer(**kafka.client_options(), transactional_id=name)
    await producer.start()
    try:
        for number in range(committed + aborted):
            await producer.begin_transaction()
            await producer.send_and_wait("counted.v1", b"value")
            await (producer.commit_transaction() if number < committed else producer.abort_transaction())
    finally:
        await producer.stop()


@pytest.mark.kafka
def test_transactions_and_requests_of_a_real_broker() -> None:
    """Each transaction that ended counts once, under its id, and only what comes through the proxy is a counted
    request."""

    async def counted() -> tuple[Counter[str], int, Counter[str]]:
        async with a_counted_broker() as broker:
            async with admin_client(broker.direct, client_id="test") as admin:
                await admin.create_topics([NewTopic("counted.v1", 1, 1)])
            await transactions(broker.direct, "earlier", 2, 0)
            before = await ends(broker.direct)
            await transactions(broker.direct, "first", 3, 1)
            direct = broker.counts.total()
            await transactions(broker.counted, "second", 2, 0)
            return await ended_since(broker.direct, before), direct, broker.counts

    ended, direct, requests = asyncio.run(counted())
    assert ended == {"first": 4, "second": 2}
    assert direct == 0
    assert (requests["EndTxn"], requests["Produce"], requests["InitProducerId"]) == (2, 2, 1)
