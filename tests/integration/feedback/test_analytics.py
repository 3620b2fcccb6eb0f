"""The scores equal the counts of the raw responses exactly, whatever happens to the process that counts."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import system_clock
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from services.feedback.adapters import analytics_faust
from services.feedback.domain.scores import Dimension, ScoreCounts, total
from services.feedback.translate.scores import PROGRESS, parse_score
from services.policy.model.surveys import SurveyKind

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[3]
PARTITIONS = 2


def records(count: int, seed: int) -> list[tuple[int, pb.FeedbackRecord]]:
    """Return invitations, responses to two in three of them, amendments to one in four of those, and first contacts,
    of three kinds on two partitions, over two days."""
    rng = random.Random(seed)
    found: list[tuple[int, pb.FeedbackRecord]] = []
    for number in range(count):
        kind = rng.choice(list(KINDS))
        about = pb.Subject(
            interaction_id=f"i{number}",
            person_id=f"p{number}",
            channel=rng.choice(["telegram", "email"]),
            queue=rng.choice(["support", "billing", "sales"]),
            agent_ids=rng.choice([[], ["ada"], ["ada", "grace"]]),
            skills=rng.choice([[], ["persian"]]),
            labels={"tier": rng.choice(["gold", "silver"])},
            language="fa",
        )
        at_ms = 1_774_000_000_000 + rng.randrange(2 * 86_400_000)
        day = datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
        scale, more = (
            KINDS[kind],
            [pb.Answer(question_id="more", kind=config.SURVEY_KIND_NPS, score=rng.randrange(11))],
        )

        def answer(
            kind: "config.SurveyKind.ValueType",
            scale: range,
            about: pb.Subject,
            day: str,
            at_ms: int,
            more: list[pb.Answer],
        ) -> pb.ResponseCounted:
            return pb.ResponseCounted(
                kind=kind,
                score=rng.choice(scale),
                subject=about,
                day=day,
                asked_at_ms=at_ms,
                categories=rng.choice([[], ["complaint"], ["praise", "request"]]),
                answers=more if rng.random() < 0.3 else [],
            )

        said = [pb.FeedbackRecord(invited=pb.InvitationCreated(kind=kind, subject=about, send_at_ms=at_ms, day=day))]
        if rng.random() < 0.67:
            first = answer(kind, scale, about, day, at_ms, more)
            said.append(pb.FeedbackRecord(answered=first))
            if rng.random() < 0.25:
                again = answer(kind, scale, about, day, at_ms, more)
                said.append(pb.FeedbackRecord(amended=pb.ResponseAmended(response=again, before=first)))
        settled = pb.ContactSettled(subject=about, first_at_ms=at_ms, resolved=rng.random() < 0.5, day=day)
        said.append(pb.FeedbackRecord(settled=settled))
        for ordinal, record in enumerate(said):
            record.event_id, record.tenant, record.person_id = f"e{number}.{ordinal}", "parsa", f"p{number}"
            record.occurred_at_ms = 1_774_000_000_000 + 2 * 86_400_000
            found.append((number % PARTITIONS, record))
    return found


def expected(told: list[tuple[int, pb.FeedbackRecord]]) -> "Totals":
    """Count in a second way: one counter per dimension, over everything at once; a response that was amended is
    never added."""
    histograms: dict[Dimension, Counter[int]] = {}
    invited: Counter[Dimension] = Counter()
    amended = {id_of(record.amended.response) for _, record in told if record.HasField("amended")}

    def dimensions(kind: SurveyKind | None, body: pb.Subject, day: str, at_ms: int, more: list[str]) -> list[Dimension]:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        groups = [("all", ""), ("channel", body.channel), ("queue", body.queue), ("tier", body.labels["tier"])]
        groups += [("agent", agent) for agent in body.agent_ids] + [("skill", skill) for skill in body.skills]
        groups += [("language", "fa")] + [("category", category) for category in more]
        # A minute is kept for two days: older ones have expired.
        names = ["", day, f"{at:%Y-%m-%dT%HZ}", f"{at:%Y-%m-%dT%H:%MZ}"]
        return [Dimension("parsa", kind, name, value, window) for name, value in groups for window in names]

    def count(kind: int, score: int, answer: pb.ResponseCounted) -> None:
        said = list(answer.categories)
        for dimension in dimensions(WORDS[kind], answer.subject, answer.day, answer.asked_at_ms, said):
            histograms.setdefault(dimension, Counter())[score] += 1

    for _, record in told:
        match record.WhichOneof("record"):
            case "invited":
                body = record.invited
                for dimension in dimensions(WORDS[body.kind], body.subject, body.day, body.send_at_ms, []):
                    invited[dimension] += 1
                    histograms.setdefault(dimension, Counter())
            case "settled":
                settled = record.settled
                for dimension in dimensions(None, settled.subject, settled.day, settled.first_at_ms, []):
                    histograms.setdefault(dimension, Counter())[int(settled.resolved)] += 1
            case which:
                answer = record.answered if which == "answered" else record.amended.response
                if which == "answered" and id_of(answer) in amended:
                    continue
                count(answer.kind, answer.score, answer)
                for response in answer.answers:
                    count(response.kind, response.score, answer)
    return {dimension: (dict(counts), invited[dimension]) for dimension, counts in histograms.items()}


def id_of(answer: pb.ResponseCounted) -> str:
    return answer.subject.interaction_id


KINDS: dict["config.SurveyKind.ValueType", range] = {
    config.SURVEY_KIND_CSAT: range(1, 6),
    config.SURVEY_KIND_NPS: range(11),
    config.SURVEY_KIND_CES: range(1, 8),
}
WORDS: dict[int, SurveyKind] = {1: SurveyKind.CSAT, 2: SurveyKind.NPS, 3: SurveyKind.CES}


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
    """Write one transaction, as the survey lane does; without `commit` it is aborted."""
    await producer.begin_transaction()
    sent = [
        await producer.send(
            f"{kafka.topic_prefix}feedback.responses.v1",
            record.SerializeToString(),
            tenant_key(record.tenant, record.person_id),
            partition=partition,
        )
        for partition, record in told
    ]
    await asyncio.gather(*sent)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


@asynccontextmanager
async def analytics(
    kafka: KafkaSettings, point: str = "never", count: int = 0, how: str = "SIGKILL"
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.feedback.analytics_process",
        kafka.topic_prefix,
        point,
        str(count),
        how,
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
    """Return the totals over the last record of each key of feedback.scores.v1, as soon as they are as wanted, or
    after `seconds`."""
    last: dict[bytes | None, tuple[Dimension, ScoreCounts]] = {}

    async def read() -> None:
        async with aclosing(tail(kafka, "feedback.scores.v1")) as scores:
            async for record in scores:
                if record.value is None:
                    last.pop(record.key, None)
                    continue
                dimension, _, fold = parse_score(record.value)
                if dimension != PROGRESS:
                    last[record.key] = (dimension, fold)

    def totals() -> Totals:
        folds: dict[Dimension, list[ScoreCounts]] = {}
        for dimension, fold in last.values():
            folds.setdefault(dimension, []).append(fold)
        sums = {dimension: total(each) for dimension, each in folds.items()}
        # An amendment may leave a dimension in which nothing counts any more.
        some = {dimension: (dict(fold.histogram), fold.invited) for dimension, fold in sums.items()}
        return {dimension: seen for dimension, seen in some.items() if seen != ({}, 0)}

    end = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read())
        while (seen := totals()) != wanted and time.monotonic() < end:  # noqa: ASYNC110 - it looks at a topic
            await asyncio.sleep(0.1)
        reading.cancel()
    return seen


async def test_after_kills_the_scores_equal_the_counts_of_the_raw_responses(cluster: KafkaSettings) -> None:
    """Killed between the change and the acknowledgement, and after the acknowledgement, four times in all; records
    of aborted transactions are not counted."""
    told = records(250, seed=7)
    aborted = records(40, seed=8)
    points = [("changed", 1), ("written", 1), ("changed", 2), ("written", 2)]
    size = len(told) // (len(points) + 1) + 1
    parts = [told[start : start + size] for start in range(0, len(told), size)]
    async with writer(cluster) as producer:
        for part, (point, count) in zip(parts, points, strict=False):
            await write(producer, cluster, part)
            await write(producer, cluster, aborted, commit=False)
            async with analytics(cluster, point, count) as process:
                async with asyncio.timeout(60):
                    assert await process.wait() == -9, "the process must die at its point"
        await write(producer, cluster, parts[-1])
        async with analytics(cluster):
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted


async def test_after_takeovers_the_scores_equal_the_counts_of_the_raw_responses(cluster: KafkaSettings) -> None:
    """A second process joins while the first counts, then the first is killed: the partitions change hands twice."""
    told = records(300, seed=9)
    async with writer(cluster) as producer, analytics(cluster) as first:
        await write(producer, cluster, told[:300])
        async with analytics(cluster):
            await write(producer, cluster, told[300:600])
            half = expected(told[:600])
            await totals_until(cluster, half, 4)
            first.kill()
            await first.wait()
            await write(producer, cluster, told[600:])
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted


async def test_a_new_owner_fenced_by_a_paused_process_is_right_in_the_end(cluster: KafkaSettings) -> None:
    """An instance is paused in the middle of a batch until the other has its partitions; then it wakes up and
    writes: nothing of that is visible."""
    told = records(150, seed=11)
    async with writer(cluster) as producer, analytics(cluster, "changed", 1, "SIGSTOP") as sleeper:
        await write(producer, cluster, told[:300])
        await stopped(sleeper)
        async with analytics(cluster):
            half = expected(told[:300])
            assert await totals_until(cluster, half, 60) == half
            sleeper.send_signal(signal.SIGCONT)
            await write(producer, cluster, told[300:])
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted
        sleeper.kill()
        # A reader of the topic from its beginning finds the same: no late entry follows a newer one.
        assert await totals_until(cluster, wanted, 10) == wanted


async def test_records_that_faust_skips_are_read_from_the_log(cluster: KafkaSettings) -> None:
    """The group's offsets are moved past records that were never counted, as an event acknowledged by mistake would
    do."""
    told = records(120, seed=12)
    async with writer(cluster) as producer:
        await write(producer, cluster, told[:150])
        async with analytics(cluster):
            first = expected(told[:150])
            assert await totals_until(cluster, first, 60) == first
        await write(producer, cluster, told[150:250])
        await commit_to_the_end(cluster)
        await write(producer, cluster, told[250:])
        async with analytics(cluster):
            wanted = expected(told)
            assert await totals_until(cluster, wanted, 60) == wanted


async def test_a_consumer_that_dies_slowly_ends_the_process(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event comes any more, nothing fails, and the group sees no fault. The silence is noticed, because the log
    has records."""

    async def deaf(self: object, stream: Any) -> None:
        async for _ in stream.noack().events():
            await asyncio.Event().wait()

    monkeypatch.setattr(analytics_faust._Analytics, "_agent", deaf)
    async with writer(cluster) as producer:
        await write(producer, cluster, records(20, seed=13))
        async with asyncio.timeout(60):
            with pytest.raises(BaseExceptionGroup) as raised:
                await analytics_faust.run_analytics(cluster, system_clock, stall_s=1.0)
    assert raised.group_contains(analytics_faust.AnalyticsFailed, match="stalled")


async def commit_to_the_end(kafka: KafkaSettings) -> None:
    topic = f"{kafka.topic_prefix}feedback.responses.v1"
    consumer = AIOKafkaConsumer(**kafka.client_options(), group_id=f"{kafka.topic_prefix}feedback-analytics")
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        async with asyncio.timeout(30):
            while True:
                try:
                    await consumer.commit({place: OffsetAndMetadata(ends[place], "") for place in places})
                    return
                except CommitFailedError:  # the killed process is still a member
                    await asyncio.sleep(0.5)
    finally:
        await consumer.stop()


async def stopped(process: asyncio.subprocess.Process) -> None:
    state = ""
    async with asyncio.timeout(60):
        while state != "T":
            await asyncio.sleep(0.05)
            state = state_of(process.pid)


def state_of(pid: int) -> str:
    """Return the state of a process; T if it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
