"""A person sends a message again that failed, or whose outcome is not known. Chapar never does it by itself."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chapar.common.v1 import types_pb2 as types
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import ManualClock
from services.chassis.current_call import CURRENT, Call
from services.chassis.errors import ChaparError
from services.chassis.ids import derive
from services.chassis.kafka.records import Record
from services.chassis.tokens import Caller
from services.chassis.tokens.roles import SCOPES_OF, Role
from services.ingest.adapters.edges.grpc_resend import Resender
from services.ingest.adapters.history import store
from services.ingest.adapters.history.database import Database, database_url, migrate
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.mapping import CONVERSATIONS, DELIVERIES, fact
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.deliveries import Outcome, SenderLimits
from tests.flow.ingest.test_delivery_reports import Chat
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

TELEGRAM = an_identity("42", "telegram", "bot")
SUPERVISOR = Caller("mina", TENANT, SCOPES_OF[Role.SUPERVISOR])
AGENT = Caller("sara", TENANT, SCOPES_OF[Role.AGENT], "sara")


@contextmanager
def called_by(caller: Caller) -> Iterator[None]:
    """A call is under way."""
    token = CURRENT.set(Call("Resend", caller, (), None, ""))
    try:
        yield
    finally:
        CURRENT.reset(token)


class Scene:
    """A customer on Telegram, an agent's reply, the history, and the method."""

    def __init__(
        self, database: Database, world: World | None = None, text: str = "it comes today", **fields: Any
    ) -> None:
        self.world = world or World(sender_limits=SenderLimits(orphan_grace_ms=30_000))
        if world is None:
            self.world.customer(a_message(identity=TELEGRAM))
        self.conversation = self.world.enqueued[0].conversation_id
        interaction = self.world.enqueued[0].interaction_id
        self.world.reply(self.conversation, text, "r1", pool="main", interaction_id=interaction, **fields)
        self.old = derive(TENANT, "r1")
        self.database = database
        self.served: frozenset[str] = frozenset()
        self.history = HistoryReader(FairReads(database), self._never)
        self.resender = Resender(self, self.history, self, ManualClock(5_000))
        self._read = 0

    @staticmethod
    async def _never(_timeout_s: float) -> None:
        raise AssertionError("no one watches")

    def of(self, _tenant: str) -> Mapping[str, frozenset[str]]:
        """Return the queues of each agent."""
        return {"sara": self.served}

    async def ask(self, identity_id: str, record: records_pb2.InboundRecord) -> None:
        """Take the place of the question to the lane of the identity."""
        self.world.inbound(record, identity_id)

    async def resend(self, caller: Caller = SUPERVISOR, delivery_id: str = "", key: str = "again") -> str:
        """Let history read the log, and resend; returns the id of the new delivery."""
        await self.read()
        with called_by(caller):
            request = ingest_pb2.ResendRequest(idempotency_key=key, delivery_id=delivery_id or self.old)
            return (await self.resender.resend(request)).delivery_id

    async def read(self) -> None:
        """Let history read the log."""
        sent = [each for each in self.world.log if each.topic in (CONVERSATIONS, DELIVERIES)]
        new, self._read = sent[self._read :], len(sent)
        records = [Record(each.topic, 0, place, 0, each.key, each.value, ()) for place, each in enumerate(new)]
        facts = [found for found in (fact(each, self.world.keys) for each in records) if found is not None]
        async with self.database.engine.connect() as connection:
            await store.write(connection, facts, {}, {})

    async def refused(self, caller: Caller = SUPERVISOR, delivery_id: str = "") -> str:
        """Return the reason for which it is refused."""
        with pytest.raises(ChaparError) as refusal:
            await self.resend(caller, delivery_id)
        return refusal.value.reason


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Database(database_url(f"sqlite:///{tmp_path / 'history.sqlite3'}", {}, "", "")) as database:
        async with database.engine.connect() as connection:
            await migrate(connection)
        yield Scene(database)


async def test_a_failed_reply_is_sent_again_as_a_new_delivery(scene: Scene) -> None:
    """It has the old text, names the old delivery, and its outcome reaches the router too."""
    scene.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    new = await scene.resend()
    assert new != scene.old
    job = scene.world.attempts.jobs[-1]
    assert (job.delivery.delivery_id, job.delivery.request.text) == (new, "it comes today")
    scene.world.outcome(Outcome.ACCEPTED)
    newest = scene.world.delivery_records[-1]
    assert (newest.delivery_id, newest.resends_delivery_id) == (new, scene.old)
    assert (newest.state, newest.author_id) == (records_pb2.DELIVERY_STATE_SENT, "mina")
    assert newest.author_kind == types.ACTOR_KIND_SUPERVISOR
    outcome = scene.world.commands[-1].record_reply_outcome
    assert (outcome.interaction_id, outcome.delivery_id) == (scene.world.enqueued[0].interaction_id, new)


async def test_an_unknown_reply_is_sent_again_only_when_a_person_asks(scene: Scene) -> None:
    """Days pass without another attempt."""
    scene.world.crash()
    scene.world.wait(86_400_000)
    assert len(scene.world.attempts.jobs) == 1
    await scene.resend()
    assert len(scene.world.attempts.jobs) == 2


async def test_a_repeated_request_is_the_same_delivery(scene: Scene) -> None:
    """The person presses the key twice."""
    scene.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert await scene.resend() == await scene.resend()
    assert len(scene.world.attempts.jobs) == 2


async def test_a_reply_that_was_sent_is_not_sent_again(scene: Scene) -> None:
    """Nor is one that is still under way."""
    assert await scene.refused() == "NOT_RESENDABLE"
    scene.world.outcome(Outcome.ACCEPTED)
    assert await scene.refused() == "NOT_RESENDABLE"


def test_an_unknown_reply_that_turns_out_to_be_sent_is_not_sent_again() -> None:
    """History is a moment old: the sender, who owns the delivery, knows better."""
    chat = Chat()
    chat.reply()
    chat.world.outcome(Outcome.UNKNOWN)
    chat.report("delivered")
    old = chat.world.attempts.jobs[0].delivery.delivery_id
    chat.world.reply(chat.conversation, "hello", "again", resends_delivery_id=old)
    assert chat.world.deliveries[-1] == ("FAILED", "ALREADY_SENT")
    assert len(chat.world.attempts.jobs) == 1


async def test_an_agent_resends_in_their_own_conversations_only(scene: Scene) -> None:
    """A conversation out of reach does not exist for them."""
    scene.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert await scene.refused(AGENT) == "UNKNOWN_DELIVERY"
    scene.served = frozenset({scene.world.enqueued[0].queue})
    await scene.resend(AGENT)
    assert scene.world.attempts.jobs[-1].delivery.request.author_id == "sara"


async def test_a_delivery_of_another_tenant_does_not_exist(scene: Scene) -> None:
    """Nor does one that was never asked for."""
    scene.world.outcome(Outcome.REJECTED, reason="HTTP_400")
    assert await scene.refused(Caller("eve", "other", SCOPES_OF[Role.SUPERVISOR])) == "UNKNOWN_DELIVERY"
    assert await scene.refused(SUPERVISOR, "no-such-delivery") == "UNKNOWN_DELIVERY"
