"""A thank-you after the completion: through ingest, the router, SLA and feedback."""

from typing import Any

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.ingest.v1 import records_pb2 as records
from tests.flow.ingest.test_automatic import Services
from tests.flow.ingest.world import World, a_configuration, a_message

HOUR = 3_600_000


def served(world: World) -> str:
    """A customer whose question an agent has answered; returns the interaction."""
    world.customer(a_message("where is my order"))
    interaction = world.enqueued[-1]
    world.routing("assigned", interaction)
    world.routing("completed", interaction)
    return interaction.interaction_id


def written(world: World, text: str, number: int = 2, **changes: Any) -> records.ConversationMessage:
    """The customer writes; returns what the history gets."""
    world.customer(a_message(text, native_message_id=f"m{number}", **changes))
    return [each.message for each in world.conversation if each.WhichOneof("record") == "message"][-1]


@pytest.mark.parametrize("text", ["thank you!", "مرسي 🙏", "👍"])
@pytest.mark.parametrize("crashing", [False, True])
def test_closing_words_join_the_completed_interaction(text: str, crashing: bool) -> None:
    """D12: no new work; the message is in the history, with the interaction that it belongs to."""
    world = World()
    interaction = served(world)
    if crashing:
        world.intake.crash()
    assert written(world, text).interaction_id == interaction
    assert len(world.enqueued) == 1


@pytest.mark.parametrize("text", ["thank you, but where is the invoice?", "ok", "thanks?"])
def test_a_question_is_new_work(text: str) -> None:
    """With closing words or without."""
    world = World()
    interaction = served(world)
    assert written(world, text).interaction_id != interaction
    assert len(world.enqueued) == 2


def test_a_question_after_the_closing_words_is_new_work_without_them() -> None:
    """The second message opens the interaction; the third belongs to it, whatever it says."""
    world = World()
    interaction = served(world)
    assert written(world, "thanks", 2).interaction_id == interaction
    opened = written(world, "one more thing: can I pay by card", 3).interaction_id
    assert opened == world.enqueued[-1].interaction_id != interaction
    assert written(world, "thanks", 4).interaction_id == opened
    assert len(world.enqueued) == 2


def test_closing_words_join_only_within_the_time_and_only_what_an_agent_completed() -> None:
    """After the configured time they are work; so are they for a new customer, and after the customer had given up."""
    rule = config.ClosingWords(within_ms=2 * HOUR)
    configuration = a_configuration()
    configuration.closing_words.CopyFrom(rule)
    world = World(configuration)
    written(world, "thanks", 1)
    assert len(world.enqueued) == 1
    world.routing("abandoned", world.enqueued[-1])
    written(world, "thanks", 2)
    assert len(world.enqueued) == 2
    world.routing("assigned", world.enqueued[-1])
    world.routing("completed", world.enqueued[-1])
    world.wait(2 * HOUR - 60_000)
    written(world, "thanks", 3)
    assert len(world.enqueued) == 2
    world.wait(60_000)
    written(world, "thanks", 4)
    assert len(world.enqueued) == 3


def test_a_tenant_can_have_closing_words_as_work() -> None:
    """`closing_words: {work: true}`."""
    configuration = a_configuration()
    configuration.closing_words.work = True
    world = World(configuration)
    served(world)
    written(world, "thank you!")
    assert len(world.enqueued) == 2


def test_a_file_is_work() -> None:
    """The picture may be the question."""
    world = World()
    served(world)
    message = a_message("thanks", native_message_id="m9")
    message.message.attachments.add(content_type="image/png", name="bill.png", size=3, reference="f")
    world.customer(message)
    assert len(world.enqueued) == 2


def test_closing_words_that_crossed_the_completion_are_no_work_either() -> None:
    """The agent completed while the thank-you was on its way: the router did not take it. A question that crossed opens the
    next interaction, as before."""
    for text, opened in (("thank you!", 1), ("and the invoice", 2)):
        world = World()
        world.customer(a_message("where is my order"))
        interaction = world.enqueued[-1]
        world.routing("assigned", interaction)
        written(world, text)
        world.routing("completed", interaction)
        assert len(world.enqueued) == opened


def test_a_thank_you_by_mail_has_no_survey_and_no_contact_of_its_own() -> None:
    """All services: one interaction, one survey, and the first contact is resolved when its window has passed."""
    services = Services()
    services.mail("where is my order")
    interaction = services.take_and_answer()
    services.complete(interaction)
    before = services.kinds()
    services.mail("Thank you so much!", headers={"Subject": "Re:", "In-Reply-To": "<1@shop.example>"})
    assert services.kinds() == before
    assert services.invited().count("invited") == 1
    services.surveys.advance(8 * 24 * HOUR)
    assert "settled" in services.invited()
    assert before.count("queued") == 1
