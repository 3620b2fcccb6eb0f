"""Notices that another system does not accept wait in a topic, and are tried again until they are accepted or given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.common.v1.webhook_pb2 import WebhookNotice
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply
from services.chassis.destinations import DEVELOPMENT
from services.chassis.http import http_server
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.deadletters import DEAD_LETTERS
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.secrets import SecretReferences
from services.cli.commands.deadletters import _put_back
from services.policy.model.webhooks import Endpoint
from services.webhooks.delivery import webhook_client
from services.webhooks.metrics import METRICS
from services.webhooks.retries import Patience, Webhooks
from tests.contract.lane.real import eventually, read_all
from tests.fakes.privacy import MemoryKeys, a_keyring
from tests.fixtures.broker import KafkaUnderTest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]
TOPIC = "feedback.webhooks.v1"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """Another system. `answers`: a status for each following call of a path, 204 when there are no more."""

    address: str = ""
    answers: dict[str, list[int]] = field(default_factory=dict)
    during: Callable[[], object] = lambda: None
    """Called during an attempt."""
    taken: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def hook(self, request: Request) -> Response:
        body = await request.body()
        Webhook(SECRET).verify(body.decode(), dict(request.headers))
        path = request.url.path.removeprefix("/")
        self.calls.append(path)
        self.during()
        status = self.answers[path].pop(0) if self.answers.get(path) else 204
        if status == 204:
            self.taken.append(request.headers["webhook-id"])
        return Response(None, status, {"location": "/elsewhere"} if status == 302 else None)


@asynccontextmanager
async def telling(
    settings: KafkaSettings,
    patience: Patience,
    known: Callable[[str], bool] = lambda _: True,
    keys: AwaitedKeys | None = None,
) -> AsyncIterator[tuple[Webhooks, Receiver, Metrics]]:
    """Run a receiver with a path for each webhook, and a service that notifies it and tries again."""
    await apply(settings)
    receiver, metrics = Receiver(), Metrics(METRICS)
    app = Starlette(routes=[Route("/{path}", receiver.hook, methods=["POST"])])

    def endpoint(_tenant: str, name: str) -> Endpoint | None:
        return (
            Endpoint(name, f"http://{receiver.address}/{name}", ("env:CHAPAR_SECRET_ACME__KEY",))
            if known(name)
            else None
        )

    async with (
        http_server(app, "127.0.0.1", 0) as receiver.address,
        webhook_client(DEVELOPMENT) as client,
        DurableProducer(settings, client_id="webhooks") as producer,
        asyncio.TaskGroup() as tasks,
    ):
        secrets = SecretReferences(system_clock, env={"CHAPAR_SECRET_ACME__KEY": SECRET})
        webhooks = Webhooks(TOPIC, endpoint, secrets, client, producer, system_clock, metrics, patience, keys)
        consumer = GroupConsumer(
            settings,
            group="feedback-webhooks",
            topics=[TOPIC],
            handler=webhooks.again,
            client_id="again",
            poison=Poison("again", metrics),
        )
        running = tasks.create_task(consumer.run())
        try:
            yield webhooks, receiver, metrics
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def notices(webhook: str, count: int = 1) -> list[WebhookNotice]:
    """Return `count` notices."""
    return [
        WebhookNotice(message_id=f"{webhook}-{n}", tenant="acme", webhook=webhook, body=b"{}") for n in range(count)
    ]


async def test_a_receiver_that_is_away_is_notified_later(kafka: KafkaUnderTest, prefix: str) -> None:
    """Errors, redirects and refusals are tried again; another receiver is notified at once; each receiver gets exactly its own notices."""
    async with telling(kafka.settings(prefix), Patience(delay_ms=100)) as (webhooks, receiver, metrics):
        receiver.answers["slow"] = [500, 302, 429, 401]
        await webhooks.tell([*notices("slow", 3), *notices("well", 20)])
        assert [name for name in receiver.taken if name.startswith("well")] == [f"well-{n}" for n in range(20)]
        await eventually(lambda: len(receiver.taken) == 23, "all notices are accepted")
        assert sorted(receiver.taken) == sorted(n.message_id for n in (*notices("slow", 3), *notices("well", 20)))
        assert "elsewhere" not in receiver.calls
        assert metrics.value("chapar_webhook_attempts_total", "not_taken") == 4
    assert await read_all(kafka.settings(prefix), DEAD_LETTERS) == []


async def test_a_receiver_that_fails_is_skipped_for_a_round(kafka: KafkaUnderTest, prefix: str) -> None:
    """Of a hundred notices for a receiver that is down, a round tries a handful."""
    async with telling(kafka.settings(prefix), Patience(delay_ms=60_000)) as (webhooks, receiver, _):
        receiver.answers["down"] = [503] * 1000
        await webhooks.tell(notices("down", 100))
        assert len(receiver.calls) == 8
    assert len(await read_all(kafka.settings(prefix), TOPIC)) == 100


async def test_a_notice_given_up_is_a_dead_letter_and_can_be_replayed(kafka: KafkaUnderTest, prefix: str) -> None:
    """410 or a removed webhook gives up at once, other failures after their time; `deadletters replay` begins again."""
    settings = kafka.settings(prefix)
    patience = Patience(delay_ms=50, give_up_ms=300)
    async with telling(settings, patience, lambda name: name != "removed") as (webhooks, receiver, metrics):
        receiver.answers |= {"gone": [410], "dead": [500] * 20}
        await webhooks.tell([*notices("gone"), *notices("removed"), *notices("dead")])

        async def letters() -> dict[str, DeadLetter]:
            found = [DeadLetter.FromString(r.value or b"") for r in await read_all(settings, DEAD_LETTERS)]
            return {letter.reason: letter for letter in found}

        async with asyncio.timeout(30):
            while len(found := await letters()) < 3:  # noqa: ASYNC110 - the topic sends no notification
                await asyncio.sleep(0.05)
        assert set(found) == {"WEBHOOK_GONE", "WEBHOOK_UNKNOWN_WEBHOOK", "WEBHOOK_HTTP_500"}
        assert metrics.value("chapar_webhook_dead_letters_total", "HTTP_500") == 1
        assert receiver.taken == []
        receiver.answers.clear()
        await _put_back(settings, list(found.values()))
        await eventually(lambda: sorted(receiver.taken) == ["dead-0", "gone-0"], "the replayed notices are accepted")


@pytest.mark.parametrize("give_up_ms", [86_400_000, 0])
async def test_a_person_who_is_erased_during_the_first_attempt_is_not_written_again(
    kafka: KafkaUnderTest, prefix: str, give_up_ms: int
) -> None:
    """Neither for a retry nor as a dead letter, and no key is made for the person. Another person's notice waits, sealed by its own key."""
    settings = kafka.settings(prefix)
    keys = MemoryKeys()
    keys.makes = False
    gone, kept = await keys.ensure("acme", "gone"), await keys.ensure("acme", "kept")
    told = [
        WebhookNotice(message_id=key.owner, tenant="acme", webhook="w", person_id=key.owner, body=b'"needle"')
        for key in (gone, kept)
    ]
    patience = Patience(delay_ms=60_000, give_up_ms=give_up_ms)
    async with telling(settings, patience, keys=keys) as (webhooks, receiver, _):
        receiver.answers["w"] = [500] * 10
        receiver.during = lambda: keys.destroy("acme", "gone")
        await webhooks.tell(told, {"gone": gone, "kept": kept})
        assert receiver.calls == ["w", "w"]
    assert list(keys.newest) == [("acme", "kept")]
    waiting = [record.value or b"" for record in await read_all(settings, TOPIC)]
    letters = [DeadLetter.FromString(r.value or b"").value for r in await read_all(settings, DEAD_LETTERS)]
    (written,) = waiting + letters
    assert b"needle" not in written
    notice = keys.opened(WebhookNotice.FromString(written), TOPIC, b"acme/w")
    assert (notice.message_id, notice.body) == ("kept", b'"needle"')


async def test_waiting_notices_of_an_erased_person_are_dropped(kafka: KafkaUnderTest, prefix: str) -> None:
    """A notice is sealed while it waits, and sent with its text when its receiver is back, unless its person was erased meanwhile."""
    settings = kafka.settings(prefix)
    await apply(settings)
    gone, stays = notices("down", 2)
    gone.person_id, stays.person_id = "person-1", "person-2"
    gone.body = stays.body = b'{"comment": "needle"}'
    async with (
        a_keyring(settings) as keys,
        telling(settings, Patience(delay_ms=100), keys=keys) as (webhooks, receiver, _),
    ):
        receiver.answers["down"] = [503] * 1000
        owned = {each.message_id: await keys.ensure("acme", each.person_id) for each in (gone, stays)}
        await webhooks.tell([gone, stays], owned)
        await eventually(lambda: len(receiver.calls) > 4, "both were tried again")
        assert await keys.destroy("acme", ["person-1"]) == 1
        before = len(receiver.calls)
        await eventually(lambda: len(receiver.calls) > before + 4, "rounds went by")
        receiver.answers.clear()
        await eventually(lambda: receiver.taken == [stays.message_id], "the other person's notice is accepted")
    written = [record.value or b"" for record in await read_all(settings, TOPIC)]
    assert len(written) > 2
    assert not any(b"needle" in value for value in written)
    assert await read_all(settings, DEAD_LETTERS) == []
