"""A template that failed, or whose outcome is not known, is sent again as a template: outside the window a text would fail."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.database import Database, database_url, migrate
from services.ingest.adapters.history.tables import MESSAGES
from services.ingest.domain.deliveries import Outcome
from tests.flow.ingest.test_persons import prefer
from tests.flow.ingest.test_reply_window import CUSTOMER, HOUR, RULE, a_world, choice
from tests.flow.ingest.test_resend import Scene
from tests.flow.ingest.world import TENANT, World


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(database_url(f"sqlite:///{tmp_path / 'history.sqlite3'}", {}, "", "")) as found:
        async with found.engine.connect() as connection:
            await migrate(connection)
        yield found


def a_template(database: Database, world: World | None = None) -> Scene:
    """A day after the customer's message, an agent sends a template."""
    world = world or a_world()[0]
    world.wait(25 * HOUR)
    return Scene(database, world, "", template=choice("12", "today"))


def approve(world: World, template: config_pb2.ApprovedTemplate) -> None:
    """Apply a configuration with one more template."""
    changed = config_pb2.TenantConfiguration()
    changed.CopyFrom(world.configuration)
    changed.version += 1
    next(each for each in changed.channels if each.channel == "whatsapp").approved_templates.append(template)
    world.configuration = changed


def newest(world: World) -> tuple[str, str, tuple[str, ...]]:
    """Return the words, the name and the parameters of the newest attempt."""
    request = world.attempts.jobs[-1].delivery.request
    assert request.template is not None
    return request.text, request.template.name, request.template.parameters


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.UNKNOWN])
async def test_a_template_is_sent_again_with_its_parameters(database: Database, outcome: Outcome) -> None:
    """Also outside the window. The new delivery names the old one."""
    scene = a_template(database)
    scene.world.outcome(outcome, reason="WHATSAPP_132000")
    new = await scene.resend()
    assert scene.world.attempts.jobs[-1].delivery.delivery_id == new
    assert newest(scene.world) == ("Order 12 is ready today.", "order_ready", ("12", "today"))
    scene.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.2",))
    found = scene.world.delivery_records[-1]
    assert (found.state, found.resends_delivery_id) == (records_pb2.DELIVERY_STATE_SENT, scene.old)


async def test_a_template_that_a_rule_chose_is_sent_again_as_a_template(database: Database) -> None:
    """Its parameters have the agent's words."""
    world, _ = a_world(RULE)
    world.wait(25 * HOUR)
    scene = Scene(database, world, "it is here")
    world.outcome(Outcome.REJECTED, reason="WHATSAPP_132000")
    await scene.resend()
    assert newest(world) == ("Sara, about your message: it is here Please answer.", "about", ("Sara", "it is here"))


async def test_a_template_that_was_wrong_can_be_sent_again_when_it_is_configured(database: Database) -> None:
    """It had no words when it failed. Until then the caller gets the reason."""
    world, _ = a_world()
    scene = Scene(database, world, "", template=choice("12", name="later"))
    assert world.deliveries[-1] == ("FAILED", "UNKNOWN_TEMPLATE")
    await scene.resend(key="too-soon")
    assert [refused.reason for _, refused in world.intake.dead_letters] == ["UNKNOWN_TEMPLATE"]
    approve(world, config_pb2.ApprovedTemplate(name="later", language="en", body="Later: {{1}}."))
    await scene.resend(key="now")
    assert newest(world) == ("Later: 12.", "later", ("12",))


async def test_a_template_that_advertises_is_not_sent_again_to_a_person_who_opted_out(database: Database) -> None:
    """They opted out after it had failed."""
    world, _ = a_world()
    marketing = config_pb2.TEMPLATE_CATEGORY_MARKETING
    approve(world, config_pb2.ApprovedTemplate(name="news", language="en", body="News for {{1}}!", category=marketing))
    world.wait(25 * HOUR)
    scene = Scene(database, world, "", template=choice("Sara", name="news"))
    world.outcome(Outcome.REJECTED, reason="WHATSAPP_132000")
    prefer(world, CUSTOMER, "", ("", records_pb2.OPT_OUT_SCOPE_PROACTIVE))
    await scene.resend()
    assert [refused.reason for _, refused in world.intake.dead_letters] == ["OPTED_OUT"]
    assert len(world.attempts.jobs) == 1


async def test_an_erasure_removes_the_parameters_from_history(database: Database) -> None:
    """They are the customer's data, like the text."""
    scene = a_template(database)
    scene.world.outcome(Outcome.REJECTED, reason="WHATSAPP_132000")
    await scene.read()
    row = (await rows(database))[-1]
    assert row["template"]["parameters"] == ["12", "today"]
    erasure = records_pb2.IdentityErasure(request_id="e", identity_id=CUSTOMER.identity_id)
    scene.world.inbound(records_pb2.InboundRecord(tenant=TENANT, erasure=erasure), CUSTOMER.identity_id)
    await scene.read()
    assert [each["template"] for each in await rows(database)] == [{}, {}]


async def rows(database: Database) -> list[dict[str, Any]]:
    """Return history's messages."""
    async with database.engine.connect() as connection:
        found = await connection.execute(select(MESSAGES).order_by(MESSAGES.c.sequence))
        return [dict(each._mapping) for each in found]
