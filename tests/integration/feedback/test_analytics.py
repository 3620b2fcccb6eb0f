"""The scores are exactly the fold of the raw answers, whatever happens to the process that folds."""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.feedback.domain.invitations import Counted, Created, Event, Invitation, Source
from services.feedback.domain.scores import Dimension, Fold, Observation, total
from services.feedback.domain.survey import SCALES, Kind, Subject
from services.feedback.translate import parse_score
from services.feedback.translate_survey import event_record

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[3]
PARTITIONS = 2


def records(count: int, seed: int) -> list[tuple[int, pb.FeedbackRecord]]:
    """Invitations and, for two in three, answers, of three kinds on two partitions."""
    rng = random.Random(seed)
    found: list[tuple[int, pb.FeedbackRecord]] = []
    for number in range(count):
        kind = rng.choice(list(SCALES))
        about = Subject(
            interaction_id=f"i{number}",
            conversation_id=f"c{number}",
            person_id=f"p{number}",
            identity_id=f"d{number}",
            channel=rng.choice(["telegram", "email"]),
            queue=rng.choice(["support", "billing", "sales"]),
            agent_id=rng.choice(["", "ada", "grace"]),
        )
        made = Invitation(f"v{number}", "parsa", "s", kind, about, "?", rng.choice(["2026-03-20", "2026-03-21"]), 0, 1)
        partition = number % PARTITIONS
        events: list[Event] = [Created(made)]
        if rng.random() < 0.67:
            events.append(Counted(replace(made), rng.choice(SCALES[kind]), "", Source.PAGE))
        for ordinal, event in enumerate(events):
            found.append((partition, event_record(event, "parsa", about.person_id, f"e{number}.{ordinal}", 0)))
    return found


def expected(told: list[tuple[int, pb.FeedbackRecord]]) -> "Totals":
    """The fold by a second way: one counter a dimension, over everything at once."""
    histograms: dict[Dimension, Counter[int]] = {}
    invited: Counter[Dimension] = Counter()
    for _, record in told:
        which = record.WhichOneof("record")
        body = record.answered if which == "answered" else record.invited
        kind = {1: Kind.CSAT, 2: Kind.NPS, 3: Kind.CES}[body.kind]
        groups = [("all", ""), ("channel", body.subject.channel), ("queue", body.subject.queue)]
        groups += [("agent", body.subject.agent_id)] if body.subject.agent_id else []
        for name, value in groups:
            for day in ("", body.day):
                dimension = Dimension("parsa", kind, name, value, day)
                histograms.setdefault(dimension, Counter())
                if which == "answered":
                    histograms[dimension][record.answered.score] += 1
                else:
                    invited[dimension] += 1
    return {dimension: (dict(counts), invited[dimension]) for dimension, counts in histograms.items()}


@asynccontextmanager
async def writer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        **kafka.client_options(), transactional_id=f"{kafka.topic_prefix}writer", acks="all", linger_ms=0
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def write(
    producer: AIOKafkaProducer, kafka: KafkaSettings, told: list[tuple[int, pb.FeedbackRecord]], *, commit: bool = True
) -> None:
    """One transaction, as the survey lane writes; without `commit` it is aborted."""
    await producer.begin_transaction()
    sent = [
        await producer.send(
            f"{kafka.topic_prefix}feedback.answers.v1",
            record.SerializeToString(),
            record.person_id.encode(),
            partition=partition,
        )
        for partition, record in told
    ]
    await asyncio.gather(*sent)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


@asynccontextmanager
async def analytics(
    kafka: KafkaSettings, point: str = "never", count: int = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.feedback.analytics_process",
        kafka.topic_prefix,
        point,
        str(count),
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


Totals = dict[Dimension, tuple[dict[int, int], int]]


async def totals_until(kafka: KafkaSettings, wanted: Totals, seconds: float) -> Totals:
    """The totals over the last record of each key of feedback.scores.v1, as soon as they are as wanted, or after so long."""
    last: dict[bytes | None, tuple[Dimension, Fold]] = {}

    async def read() -> None:
        async with aclosing(tail(kafka, "feedback.scores.v1")) as scores:
            async for record in scores:
                dimension, _, fold = parse_score(record.value)
                last[record.key] = (dimension, fold)

    def totals() -> Totals:
        folds: dict[Dimension, list[Fold]] = {}
        for dimension, fold in last.values():
            folds.setdefault(dimension, []).append(fold)
        sums = {dimension: total(each) for dimension, each in folds.items()}
        return {dimension: (dict(fold.histogram), fold.invited) for dimension, fold in sums.items()}

    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read())
        while (seen := totals()) != wanted and time.monotonic() < end:  # noqa: ASYNC110 - it looks at a topic
            await asyncio.sleep(0.1)
        reading.cancel()
    return seen


async def test_killing_the_process_midway_leaves_exactly_the_fold_of_the_raw_answers(cluster: KafkaSettings) -> None:
    """Killed between change and acknowledgement, and after it, four times over; what a transaction aborted is not counted."""
    told = records(900, seed=7)
    aborted = records(120, seed=8)
    points = [("changed", 1), ("written", 1), ("changed", 2), ("written", 2)]
    parts = [told[start :: len(points) + 1] for start in range(len(points) + 1)]
    # Within a part the order of a partition is the order of writing; across parts too, because they are written one after the other.
    async with writer(cluster) as producer:
        for part, (point, count) in zip(parts, points, strict=False):
            await write(producer, cluster, part)
            await write(producer, cluster, aborted, commit=False)
            async with analytics(cluster, point, count) as process:
                async with asyncio.timeout(60):
                    assert await process.wait() == -9, "it was to die at its point"
        await write(producer, cluster, parts[-1])
        async with analytics(cluster):
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted


async def test_two_processes_that_take_over_from_each_other_leave_exactly_the_fold(cluster: KafkaSettings) -> None:
    """A second process joins while the first folds, then the first is killed: the partitions change hands twice."""
    told = records(1200, seed=9)
    async with writer(cluster) as producer, analytics(cluster) as first:
        await write(producer, cluster, told[:600])
        async with analytics(cluster):
            await write(producer, cluster, told[600:1200])
            half = expected(told[:1200])
            await totals_until(cluster, half, 4)
            first.kill()
            await first.wait()
            await write(producer, cluster, told[1200:])
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted


def test_an_observation_counts_in_every_dimension_of_the_oracle() -> None:
    """The oracle above is written by hand; it agrees with the domain on which dimensions there are."""
    told = records(50, seed=3)
    dims = set(expected(told))
    about = told[0][1].invited
    seen = Observation("parsa", Kind.CSAT, Subject("i", "c", "p", "d", "email", "sales", "ada"), about.day)
    assert {replace(d, kind=Kind.CSAT).name for d in dims} == {d.name for d in seen.dimensions()}
