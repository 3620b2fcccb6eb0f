"""The lanes on real Kafka, in a process that is killed at the worst times."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.cli.local.providers import Cut, Hang, Refuse
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.lanes.bench import Bench, bench

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
CUSTOMER, AGENT = 1, 2


@pytest.fixture
async def stage(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Yield separate topics, counterparts and readers."""
    async with bench(kafka.bootstrap, kafka.settings(prefix), tmp_path) as made:
        yield made


async def test_messages_and_replies_go_through_once(stage: Bench) -> None:
    """Edges and gateways write every record twice; conversations, the router and the providers get each once."""
    async with stage.process("one") as running:
        conversations = {}
        for number in range(1, 21):
            channel = ("telegram", "whatsapp", "email", "webchat")[number % 4]
            conversations[number] = await stage.customer(channel, number, f"question {number}", repeat=2)
        await stage.until(lambda: len(stage.enqueued()) >= 20)
        for number, conversation in conversations.items():
            await stage.reply(conversation, f"answer {number}", f"r-{number}", repeat=2)
        await stage.until(lambda: len(stage.texts(AGENT)) >= 20)
        running.terminate()
        async with asyncio.timeout(30):
            assert await running.wait() == 0
    assert sorted(stage.texts(CUSTOMER)) == sorted(f"question {n}" for n in range(1, 21))
    assert sorted(stage.texts(AGENT)) == sorted(f"answer {n}" for n in range(1, 21))
    assert {f.conversation_id for f in stage.enqueued()} == set(conversations.values())
    assert len(stage.enqueued()) == 20
    arrived = stage.provider.received + stage.relay.received
    by_provider = [m.text.strip() for m in arrived]
    assert sorted(by_provider) == sorted(f"answer {n}" for n in range(1, 21) if n % 4 != 3)
    assert stage.seen["deadletters.v1"] == []


async def test_a_process_killed_between_attempt_and_outcome_leaves_unknown(stage: Bench) -> None:
    """The provider accepted it, but the outcome was lost: the successor reports UNKNOWN, never sends it again, and
    continues with the next."""
    stage.provider.next(Hang(taken=True))
    async with stage.process("first") as running:
        conversation = await stage.customer("telegram", 1, "hello")
        await stage.until(lambda: len(stage.enqueued()) == 1)
        lost = await stage.reply(conversation, "taken but unheard", "r-1")
        after = await stage.reply(conversation, "the next", "r-2")
        await stage.provider.arrived(1)
        running.kill()
        await running.wait()
    async with stage.process("second"):
        await stage.until(lambda: "SENT" in stage.states(after))
    assert stage.states(lost)[-2:] == ["ATTEMPTING", "UNKNOWN"]
    assert stage.states(after) == ["QUEUED", "ATTEMPTING", "SENT"]
    assert [m.text for m in stage.provider.received] == ["taken but unheard", "the next"]
    assert stage.texts(AGENT) == ["taken but unheard", "the next"]


async def test_replies_that_wait_for_the_rate_limit_are_sent_by_the_next_owner(stage: Bench) -> None:
    """SIGKILL with an account limited to two a second: only attempts that had reached the provider are UNKNOWN, and
    nothing is sent twice."""
    stage.sends_per_second = 2.0
    deliveries = {}
    async with stage.process("first") as running:
        conversations = [await stage.customer("telegram", number, f"question {number}") for number in range(42)]
        await stage.until(lambda: len(stage.enqueued()) == 42)
        for number, conversation in enumerate(conversations):
            deliveries[f"answer {number}"] = await stage.reply(conversation, f"answer {number}", f"r-{number}")
        await stage.provider.arrived(5)
        running.kill()
        await running.wait()
    async with stage.process("second"):
        ends = ("SENT", "UNKNOWN")
        await stage.until(lambda: all(s and s[-1] in ends for s in map(stage.states, deliveries.values())))
    arrived = [m.text for m in stage.provider.received]
    assert len(arrived) == len(set(arrived))
    unknown = {text for text, delivery in deliveries.items() if stage.states(delivery)[-1] == "UNKNOWN"}
    assert len(unknown) <= 2  # the attempts that were in flight
    assert set(deliveries) - unknown <= set(arrived)


async def test_an_outcome_that_was_published_wins_over_the_takeover(stage: Bench) -> None:
    """Killed after the outcome was durable but perhaps before it was handled: it counts, and nothing is sent twice."""
    async with stage.process("first") as running:
        conversation = await stage.customer("telegram", 1, "hello")
        await stage.until(lambda: len(stage.enqueued()) == 1)
        deliveries = [await stage.reply(conversation, f"answer {n}", f"r-{n}") for n in range(5)]
        await stage.provider.arrived(2)
        running.kill()
        await running.wait()
    async with stage.process("second"):
        ends = ("SENT", "UNKNOWN")
        await stage.until(lambda: all(s and s[-1] in ends for s in map(stage.states, deliveries)))
    texts = [m.text for m in stage.provider.received]
    assert len(texts) == len(set(texts))
    assert sum(stage.states(d)[-1] == "UNKNOWN" for d in deliveries) <= 1
    assert set(stage.texts(AGENT)) <= set(texts)


async def test_an_orderly_stop_leaves_nothing_unknown(stage: Bench) -> None:
    """Attempts that had not begun are given back; attempts in flight end; the successor sends the rest, in order."""
    async with stage.process("first") as running:
        conversation = await stage.customer("telegram", 1, "hello")
        await stage.until(lambda: len(stage.enqueued()) == 1)
        deliveries = [await stage.reply(conversation, f"answer {n}", f"r-{n}") for n in range(6)]
        await stage.provider.arrived(2)
        running.terminate()
        async with asyncio.timeout(30):
            assert await running.wait() == 0
    async with stage.process("second"):
        await stage.until(lambda: all("SENT" in stage.states(d) for d in deliveries))
    assert [m.text for m in stage.provider.received] == [f"answer {n}" for n in range(6)]
    assert stage.texts(AGENT) == [f"answer {n}" for n in range(6)]


async def test_a_failing_provider_finally_gets_every_message(stage: Bench) -> None:
    """429 with retry_after, 502, a refused token: sent later, in order, once. A cut connection: unknown. 403: failed,
    with a dead letter."""
    stage.provider.next(
        Refuse(429, {"parameters": {"retry_after": 1}}), Refuse(502), Refuse(401), Refuse(403), Cut(taken=True)
    )
    async with stage.process("one"):
        conversation = await stage.customer("telegram", 1, "hello")
        await stage.until(lambda: len(stage.enqueued()) == 1)
        blocked = await stage.reply(conversation, "one", "r-1")
        cut = await stage.reply(conversation, "two", "r-2")
        fine = await stage.reply(conversation, "three", "r-3")
        await stage.until(lambda: "SENT" in stage.states(fine))
    assert stage.states(blocked)[-1] == "FAILED"
    assert stage.states(cut)[-1] == "UNKNOWN"
    assert [m.text for m in stage.provider.received] == ["two", "three"]
    assert len(stage.seen["deadletters.v1"]) == 1


async def test_a_process_killed_before_the_relay_commits_repeats_notices_that_change_nothing(stage: Bench) -> None:
    """Published and not committed: the successor publishes them again, and every interaction is closed once."""
    numbers = range(10)
    async with stage.process("first", batches=1) as running:
        for number in numbers:
            await stage.customer("telegram", number, f"question {number}")
        await stage.until(lambda: len(stage.enqueued()) == len(numbers))
        for interaction in stage.enqueued():
            await stage.routed(interaction, "queued", "assigned", "completed")
        async with asyncio.timeout(30):
            assert await running.wait() == -signal.SIGKILL
    async with stage.process("second") as running:
        await stage.until(lambda: stage.closed() == len(numbers))
        last = await stage.customer("telegram", 77, "one more")
        await stage.until(lambda: len(stage.enqueued()) == len(numbers) + 1)
        await stage.routed(stage.enqueued()[-1], "completed")
        await stage.until(lambda: stage.closed() == len(numbers) + 1)
        assert stage.enqueued()[-1].conversation_id == last
    notices = [record.notice.event_id for record in stage.seen["inbound.v1"] if record.HasField("notice")]
    assert len(set(notices)) == 3 * len(numbers) + 1
    assert len(notices) > len(set(notices)), "nothing was repeated"
    assert stage.closed() == len(numbers) + 1
    assert stage.seen["deadletters.v1"] == []
