"""A person is planted through every channel and surface of a real installation, and erased; then every byte that it has kept is searched.

Nothing personal may ever be in Kafka's files, in logs or elsewhere; SQL has it until the erasure, and not after it.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import smtplib
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from websockets.asyncio.client import connect

from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.clock import system_clock
from services.chassis.ids import derive
from services.chassis.kafka.producer import DurableProducer
from services.cli.commands.send import signed
from services.cli.connection import channel_to
from services.cli.kept_secrets import WEBHOOK_SECRET
from services.cli.providers import HttpProvider, Refuse
from services.cli.stack import EXAMPLE, Stack, StackOptions, running_stack
from services.cli.workspace import Workspace
from tests.integration.privacy.scan import files_of, scan

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[3]
CONTROL = "control-needle-in-clear"


@dataclass
class Needles:
    """One word a surface that occurs nowhere else."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    words: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, surface: str) -> str:
        return self.words.setdefault(surface, f"{surface}n{self.run}")


@dataclass
class Planter:
    """Writes as customers, agents and other systems do."""

    workspace: Workspace
    stack: Stack
    needles: Needles
    ingest: grpc.aio.Channel
    feedback: grpc.aio.Channel

    @property
    def http(self) -> str:
        return f"http://{self.stack.running.endpoints['ingest']['http']}/v1/demo"

    async def webhook(self, text: str, customer: str, name: str, **more: Any) -> str:
        """A message by signed webhook; returns the identity."""
        secret = self.workspace.demo_secrets()[WEBHOOK_SECRET]
        headers, body = signed(secret, text, customer, name)
        if more:
            headers, body = _signed_again(secret, {**json.loads(body), **more}, headers)
        await self._post("/webhook/main", headers, body)
        return derive("demo", "webhook", "main", customer)

    async def telegram(self, text: str, number: int, name: str) -> str:
        message = {
            "message_id": int(uuid.uuid4().int % 2**30),
            "date": system_clock() // 1000,
            "chat": {"id": number, "type": "private"},
            "from": {"id": number, "is_bot": False, "first_name": name, "language_code": "en"},
            "text": text,
        }
        secret = self.workspace.demo_secrets()["CHAPAR_SECRET_DEMO__TELEGRAM_SECRET"]
        body = json.dumps({"update_id": message["message_id"], "message": message}).encode()
        await self._post("/telegram/main", {"x-telegram-bot-api-secret-token": secret}, body)
        return derive("demo", "telegram", "main", str(number))

    async def whatsapp(self, text: str, number: str, name: str, native: str) -> str:
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "982100000000", "phone_number_id": "100200300"},
            "contacts": [{"profile": {"name": name}, "wa_id": number}],
            "messages": [
                {
                    "from": number,
                    "id": native,
                    "timestamp": str(system_clock() // 1000),
                    "type": "text",
                    "text": {"body": text},
                }
            ],
        }
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        secret = self.workspace.demo_secrets()["CHAPAR_SECRET_DEMO__WHATSAPP_SECRET"].encode()
        digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
        await self._post("/whatsapp/main", {"x-hub-signature-256": f"sha256={digest}"}, body)
        return derive("demo", "whatsapp", "main", number)

    async def email(self, text: str, address: str, name: str, subject: str, file: str, native: str) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = f"{name} <{address}>", "support@demo.example", subject
        mail["Message-ID"] = f"<{native}@mail.example>"
        mail.set_content(text)
        mail.add_attachment(b"bytes", maintype="image", subtype="png", filename=file)
        host, _, port = self.stack.running.endpoints["ingest"]["smtp"].rpartition(":")

        def deliver() -> None:
            with smtplib.SMTP(host, int(port), timeout=20) as server:
                server.send_message(mail, address, ["support@demo.example"])

        await asyncio.to_thread(deliver)

    async def webchat(self, text: str, name: str) -> None:
        async with connect(f"{self.http.replace('http', 'ws', 1)}/webchat/main/ws") as socket:
            await socket.send(json.dumps({"type": "hello", "name": name}))
            await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": text}))
            async with asyncio.timeout(20):
                async for frame in socket:
                    if json.loads(frame)["type"] == "ack":
                        return

    async def submit(self, text: str, native: str, name: str, labels: dict[str, str]) -> str:
        stub = ingest_pb2_grpc.IngestServiceStub(self.ingest)
        answer = await stub.Submit(
            ingest_pb2.SubmitRequest(
                idempotency_key=uuid.uuid4().hex, native_id=native, display_name=name, text=text, labels=labels
            )
        )
        return str(answer.identity_id)

    async def _post(self, path: str, headers: dict[str, str], body: bytes) -> None:
        async with httpx.AsyncClient(timeout=20) as http:
            headers = {"content-type": "application/json", **headers}
            answer = await http.post(self.http + path, headers=headers, content=body)
        assert answer.status_code == 200, answer.text


def _signed_again(secret: str, content: dict[str, Any], headers: dict[str, str]) -> tuple[dict[str, str], bytes]:
    body = json.dumps(content).encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = headers["webhook-timestamp"].encode()
    made = hmac.new(key, b".".join((headers["webhook-id"].encode(), stamp, body)), hashlib.sha256).digest()
    return {**headers, "webhook-signature": "v1," + base64.b64encode(made).decode()}, body


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """The sight, once it is true."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
    return seen


@contextlib.asynccontextmanager
async def an_agent(workspace: Workspace, reply: str) -> AsyncIterator[None]:
    """A desk that answers everything with this and completes it."""
    environment = {**os.environ, "CHAPAR_HOME": str(workspace.home)}
    words = (sys.executable, "-m", "services.cli", "agents", "desk", "sara", "--auto-reply", reply)
    desk = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        desk.terminate()
        await desk.wait()


def a_configuration(folder: Path) -> Path:
    """The example tenant, whose conversations are past after a moment, and with a webhook that no receiver answers."""
    text = EXAMPLE.read_text()
    for account in (
        '    secrets: {signing_secret: "env:CHAPAR_SECRET_DEMO__WEBHOOK_SECRET"}\n',
        "  - channel: grpc\n    account: default\n",
    ):
        assert account in text
        text = text.replace(account, f"{account}    conversation_window: 1s\n")
    text += (
        "\nwebhooks:\n"
        "  - {name: deaf, url: 'http://127.0.0.1:9/', secrets: {signing: 'env:CHAPAR_SECRET_DEMO__WEBHOOK_SECRET'}, "
        "events: [feedback.answered.text]}\n"
    )
    file = folder / "tenant.yaml"
    file.write_text(text)
    return file


async def conversations(planter: Planter, person: str) -> list[ingest_pb2.ConversationView]:
    stub = ingest_pb2_grpc.IngestServiceStub(planter.ingest)
    found = await stub.SearchConversations(ingest_pb2.SearchConversationsRequest(person_id=person))
    return list(found.conversations)


async def found_by(planter: Planter, words: str) -> list[ingest_pb2.ConversationView]:
    stub = ingest_pb2_grpc.IngestServiceStub(planter.ingest)
    return list((await stub.SearchConversations(ingest_pb2.SearchConversationsRequest(words=words))).conversations)


async def states(planter: Planter, conversation: str) -> set[str]:
    stub = ingest_pb2_grpc.IngestServiceStub(planter.ingest)
    listed = await stub.ListInteractions(ingest_pb2.ListInteractionsRequest())
    return {each.state for each in listed.interactions if each.conversation_id == conversation}


async def plant(planter: Planter, provider: HttpProvider) -> tuple[str, str]:
    """Everything that a person may leave; returns the person and the home identity."""
    n, number = planter.needles, 700_000_000 + int(uuid.uuid4().int % 100_000_000)
    n.words["phone"] = f"98912{number % 10_000_000:07d}"
    n.words["chat"] = str(number)
    stub = ingest_pb2_grpc.IngestServiceStub(planter.ingest)
    people = ingest_pb2_grpc.PersonServiceStub(planter.ingest)
    async with an_agent(planter.workspace, n["reply"]):
        home = await planter.webhook(n["first"], n["nativeid"], n["name"], labels={"note": n["label"]})
        person = derive("person", home)
        first = (await until(lambda: found_by(planter, n["first"])))[0]
        await until(lambda: _has(planter, first.conversation_id, "completed"))
        # The conversation's window, which only time closes, after the intake lane has heard that the interaction is over.
        await asyncio.sleep(5)
        await planter.webhook(n["second"], n["nativeid"], n["name"])
        second = (await until(lambda: found_by(planter, n["second"])))[0]
        assert second.conversation_id != first.conversation_id
        await until(lambda: _has(planter, second.conversation_id, "completed"))
        telegram = await planter.telegram(n["telegram"], number, n["tgname"])
        whatsapp = await planter.whatsapp(n["whatsapp"], n["phone"], n["waname"], f"wamid.{n['wamid']}")
        await planter.email(n["email"], f"{n['mailbox']}@mail.example", n["from"], n["subject"], n["file"], n["mid"])
        await planter.webchat(n["webchat"], n["chatname"])
        submitted = await planter.submit(n["submit"], n["grpcid"], n["grpcname"], {"note": n["grpclabel"]})
        identities = []
        for text in ("telegram", "whatsapp", "email", "webchat", "submit"):
            view = (await until(lambda text=text: found_by(planter, n[text])))[0]  # type: ignore[misc]
            await until(lambda view=view: _has(planter, view.conversation_id, "completed"))  # type: ignore[misc]
            identities.append(view.identity.identity_id)
    assert {telegram, whatsapp, submitted} <= set(identities)
    for identity in identities:
        await people.LinkIdentity(
            ingest_pb2.LinkIdentityRequest(
                idempotency_key=uuid.uuid4().hex, identity_id=identity, home_identity_id=home, evidence=n["evidence"]
            )
        )
    # From here on no agent answers: work under way stays so.
    await asyncio.sleep(1.1)
    await planter.webhook(n["third"], n["nativeid"], n["name"])
    third = (await until(lambda: found_by(planter, n["third"])))[0]
    await until(lambda: _has(planter, third.conversation_id, "queued"))
    for sender, text in ((planter.telegram(n["tglinked"], number, n["tgname"]), "tglinked"),):
        await sender
        await until(lambda text=text: found_by(planter, n[text]))  # type: ignore[misc]
    await stub.OpenFollowUp(
        ingest_pb2.OpenFollowUpRequest(
            idempotency_key=uuid.uuid4().hex,
            identity_id=home,
            queue="support",
            reason="call back",
            labels={"note": n["followup"]},
        )
    )
    outbound = ingest_pb2_grpc.OutboundServiceStub(planter.ingest)
    for identity, text in ((whatsapp, "waiting"), (telegram, "rejected")):
        if text == "rejected":
            provider.next(Refuse(400))
        view = next(each for each in await found_by(planter, n["whatsapp" if text == "waiting" else "telegram"]))
        await outbound.Send(
            ingest_pb2.SendRequest(
                idempotency_key=uuid.uuid4().hex,
                identity_id=identity,
                conversation_id=view.conversation_id,
                text=n[text],
                purpose=records_pb2.OUTBOUND_PURPOSE_NOTICE,
            )
        )
    surveys = feedback_pb2_grpc.FeedbackServiceStub(planter.feedback)
    invited = await surveys.Invite(
        feedback_pb2.InviteRequest(
            idempotency_key=uuid.uuid4().hex,
            subject=feedback_pb2.Subject(
                interaction_id=first.interaction_ids[0],
                conversation_id=first.conversation_id,
                person_id=person,
                identity_id=home,
                queue="support",
            ),
        )
    )
    await surveys.SubmitAnswer(
        feedback_pb2.SubmitAnswerRequest(
            idempotency_key=uuid.uuid4().hex,
            invitation_id=invited.invitation_id,
            person_id=person,
            score=1,
            comment=n["comment"],
        )
    )
    await until(lambda: _answered(surveys, n["comment"]))
    return person, home


async def _has(planter: Planter, conversation: str, state: str) -> bool:
    return state in await states(planter, conversation)


async def _answered(surveys: Any, comment: str) -> bool:
    answers = await surveys.ListAnswers(feedback_pb2.ListAnswersRequest())
    return comment in str(answers)


@contextlib.asynccontextmanager
async def a_stack(
    workspace: Workspace, provider: HttpProvider, config: Path, needles: Needles
) -> AsyncIterator[Planter]:
    environment = {
        "CHAPAR_SECRET_DEMO__TELEGRAM_URL": provider.url,
        "CHAPAR_SECRET_DEMO__WHATSAPP_URL": "http://127.0.0.1:9",
        "CHAPAR_SECRET_DEMO__SMTP_URL": "smtp://127.0.0.1:9",
    }
    options = StackOptions(config=config, environment=environment)
    async with (
        running_stack(workspace, options, lambda _: None) as stack,
        channel_to(workspace, "ingest") as ingest,
        channel_to(workspace, "feedback") as feedback,
    ):
        yield Planter(workspace, stack, needles, ingest, feedback)


async def test_nothing_of_an_erased_person_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("KAFKA_", "CHAPAR_")) and name != "CHAPAR_CACHE_DIR":
            monkeypatch.delenv(name)
    workspace, needles = Workspace(tmp_path / "home"), Needles()
    config = a_configuration(tmp_path)
    neighbour = f"neighbour{needles.run}"
    async with HttpProvider() as provider:
        async with a_stack(workspace, provider, config, needles) as planter:
            person, home = await plant(planter, provider)
            await planter.webhook(neighbour, "other", "Other")
            await until(lambda: found_by(planter, neighbour))
            async with DurableProducer(planter.stack.kafka, client_id="control") as producer:
                await producer.publish("deadletters.v1", b"control", CONTROL.encode())

            everywhere = {**needles.words, "neighbour": neighbour, "control": CONTROL}
            before = scan(workspace.home, everywhere)
            assert files_of({"control": before.pop("control")}), "the scan sees what Kafka keeps"
            in_sql = {name for name, files in before.items() if any("history-" in file for file in files)}
            assert {"first", "second", "third", "telegram", "name", "subject", "file", "reply", "wamid"} <= in_sql
            assert all("history-" in file for file in files_of(before)), "personal data outside of SQL"

            people = ingest_pb2_grpc.PersonServiceStub(planter.ingest)
            request = ingest_pb2.ErasePersonRequest(idempotency_key="erase-1", person_id=person)
            report = await people.ErasePerson(request, timeout=60)
            assert report.complete, report
            assert home in report.identity_ids
            assert len(report.identity_ids) == 6
            assert report.keys_destroyed >= 7
            counts = {store.store: dict(store.counts) for store in report.stores}
            assert counts["intake"]["follow_ups_cancelled"] >= 1
            assert counts["intake"]["interactions_ended"] >= 1
            assert counts["sender"]["deliveries_cancelled"] >= 1
            assert counts["feedback"]["answers"] == 1
            assert counts["history@ingest"]["messages_emptied"] >= 9
            again = await people.ErasePerson(request, timeout=60)
            assert (again.complete, again.keys_destroyed) == (True, 0)
            surveys = feedback_pb2_grpc.FeedbackServiceStub(planter.feedback)
            assert not await _answered(surveys, needles["comment"])
            assert await found_by(planter, neighbour)

        async with a_stack(workspace, provider, config, needles) as planter:
            assert await found_by(planter, neighbour)
            assert not await found_by(planter, needles["first"])
            surveys = feedback_pb2_grpc.FeedbackServiceStub(planter.feedback)
            assert not await _answered(surveys, needles["comment"])
            fresh = f"fresh{needles.run}"
            await planter.webhook(fresh, needles["nativeid"], "new name")
            (view,) = await until(lambda: found_by(planter, fresh))
            assert len([each for each in await conversations(planter, view.person_id) if each == view]) == 1
            after = scan(workspace.home, {name: word for name, word in needles.words.items() if name != "nativeid"})
            assert not after
            kept = scan(workspace.home, {"neighbour": neighbour, "fresh": fresh, "control": CONTROL})
            assert set(kept) == {"neighbour", "fresh", "control"}
            assert all("history-" in file for name in ("neighbour", "fresh") for file in kept[name])
