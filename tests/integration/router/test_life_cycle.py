"""One interaction through a real router on real Kafka, with a real client."""

from pathlib import Path

import pytest

from services.cli.desk import Desk
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.router.stand import a_bench, a_router, a_token, settings_for

pytestmark = pytest.mark.kafka


async def test_an_interaction_is_offered_accepted_answered_and_completed(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path
) -> None:
    """Enqueue, offer on the agent's stream, accept, reply (durable in outbound), complete: every step is an event with a reason."""
    settings = kafka.settings(prefix)
    async with a_bench(settings) as bench, a_router(settings_for(settings, tmp_path)) as router:
        await bench.configure()
        async with Desk(router.endpoints["grpc"], a_token("agent-0"), "agent-0") as desk:
            await desk.next("welcome")
            interaction = await bench.enqueue()
            offered = (await desk.next("offered")).offered
            assert offered.interaction.interaction_id == interaction
            assert offered.reason == "LONGEST_IDLE"
            assert (await desk.accept(offered.offer_id)).ok
            assert (await desk.reply(interaction, "سلام، بفرمایید", cc=["carl@mail.example"])).ok
            assert (await desk.complete(interaction, "solved")).ok
            await bench.until(lambda: "completed" in bench.story(interaction))
            await bench.until(lambda: len(bench.outbound) == 1)
    assert bench.story(interaction) == ["queued", "offered", "assigned", "agent_replied", "completed"]
    assert all(event.reason for event in bench.events)
    reply = bench.outbound[0]
    assert reply.conversation_id == f"conversation-{interaction}"
    assert (reply.request.text, reply.request.author_id) == ("سلام، بفرمایید", "agent-0")
    assert (list(reply.request.to), list(reply.request.cc)) == ([], ["carl@mail.example"])
