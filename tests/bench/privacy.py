"""The cost of encrypting personal data, in CPU time.

    python -m tests.bench.privacy [--messages 4000]

- `personal_record_us`: sealing and opening one customer's message (500 letters, name, labels, reply context), compared with encoding and decoding it.
- `personal_encryption_ratio`: a message through ingest (sealed at the edge, decided by the intake lane, its conversation, reply route and
  changelog written, its route taken by the sender lane, its record opened for history) with sealing over the same without.
  Kafka and the network are left out; as a share of the whole path, the cost is smaller.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.records import Record
from services.chassis.keys import tenant_key
from services.chassis.privacy.lanes import EntryKeys
from services.chassis.privacy.sealing import seal, unseal
from services.ingest.adapters.history.mapping import fact
from tests.bench.figures import tell
from tests.fakes.privacy import MemoryKeys
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

ROUNDS = 5
TEXT = "سلام، سفارش من هنوز نرسیده است و پیک هم پاسخ نمی‌دهد. " * 10


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=4000)
    count = parser.parse_args().messages
    record_us = _best(lambda: _records(count, sealed=True)) / count * 1e6
    plain_us = _best(lambda: _records(count, sealed=False)) / count * 1e6
    tell("personal_record_us", round(record_us - plain_us, 1), "us", plain_us=round(plain_us, 1))
    ratios, shares = [], []
    for _ in range(ROUNDS):  # in turns, so that a busy machine is busy for both
        without, within = _path(count // 4, sealed=False), _path(count // 4, sealed=True)
        ratios.append(within / without)
        shares.append((within - without) / (count // 4) * 1e6)
    tell(
        "personal_encryption_ratio",
        round(statistics.median(ratios), 2),
        "ratio",
        "<=1.5",
        added_us_a_message=round(statistics.median(shares), 1),
    )


def _best(work: Callable[[], float]) -> float:
    return min(work() for _ in range(ROUNDS))


def _message(number: int) -> records_pb2.InboundRecord:
    return a_message(
        TEXT,
        native_message_id=f"m{number}",
        identity=an_identity(f"v{number % 500}", "telegram", "bot"),
        labels={"tier": "silver", "plan": "basic"},
    )


def _records(count: int, *, sealed: bool) -> float:
    keys = MemoryKeys()
    key = keys.made(TENANT, "i")
    records = [_message(number) for number in range(count)]
    begun = time.process_time()
    for record in records:
        if sealed:
            read = records_pb2.InboundRecord.FromString(seal(record, key, "inbound.v1", b"k"))
            unseal(read, keys, "inbound.v1", b"k")
        else:
            records_pb2.InboundRecord.FromString(record.SerializeToString())
    return time.process_time() - begun


def _plain(record: Any, _key: object, _topic: str, _record_key: bytes) -> bytes:
    return bytes(record.SerializeToString())


def _path(count: int, *, sealed: bool) -> float:
    with ExitStack() as stack:
        if not sealed:
            stack.enter_context(patch("services.ingest.lanes.intake_outputs.seal", _plain))
            stack.enter_context(patch("services.ingest.lanes.sender_outputs.seal", _plain))
            stack.enter_context(patch.object(EntryKeys, "sealed", lambda self, entry, value, key: value))
        world = World()
        records = [_message(number) for number in range(count)]
        begun = time.process_time()
        for record in records:
            key = tenant_key(TENANT, record.message.identity.identity_id)
            own = world.keys.made(TENANT, record.message.identity.identity_id)
            value = seal(record, own, "inbound.v1", key) if sealed else record.SerializeToString()
            world.intake.handle(value, key=key)
            world.pump()
        for send in world.log:
            if send.topic == "conversations.v1":
                fact(Record(send.topic, 0, 0, 0, send.key, send.value, ()), world.keys)
        return time.process_time() - begun


if __name__ == "__main__":
    main()
