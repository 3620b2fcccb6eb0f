"""Personal data of a person enter a real installation through every channel and surface, and the person is erased. Then every
stored byte is searched.

Kafka's files, logs and other files must never contain personal data. SQL contains them until the erasure, and not after it.
"""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chapar.common.v1.dead_letter_pb2 import DeadLetter
from chapar.common.v1.revocation_pb2 import Revocation
from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.clock import system_clock
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import DurableProducer
from services.cli.changelog_status import finalise
from services.cli.connection import channel_to
from services.cli.local.provider_files import HeldFile
from services.cli.local.providers import HttpProvider, Refuse
from services.cli.local.stack import EXAMPLE, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from services.cli.revocations import revoke
from services.ingest.translate.headers import WAITING_FETCHES
from services.router.lanes.shard import SPEC as ROUTER
from tests.contract.lane.real import read_all
from tests.integration.privacy.planter import TRACE, Needles, Planter
from tests.integration.privacy.scan import files_of, scan
from tests.integration.record_shape import survey

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[3]
CONTROL = "control-needle-in-clear"
WINDOW_MS = 1_000
"""The time after its last message in which a conversation without an open interaction accepts the next message, in ms."""


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Repeat `look` until its result is true, and return the result."""
    async with asyncio.timeout(seconds):
        while not (seen := await look()):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
    return seen


@contextlib.asynccontextmanager
async def an_agent(workspace: Workspace, reply: str) -> AsyncIterator[None]:
    """Run an agent's desk that answers each interaction with `reply` and completes it."""
    environment = {**os.environ, "CHAPAR_HOME": str(workspace.home)}
    words = (sys.executable, "-m", "services.cli", "agents", "desk", "sara", "--auto-reply", reply)
    desk = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        desk.terminate()
        await desk.wait()


def a_configuration(folder: Path) -> Path:
    """Write the example tenant with a conversation window of one second and a webhook that no receiver answers."""
    text = EXAMPLE.read_text()
    for account in (
        '    secrets: {signing_secret: "env:CHAPAR_SECRET_DEMO__WEBHOOK_SECRET"}\n',
        "  - channel: grpc\n    account: default\n",
    ):
        assert account in text
        text = text.replace(account, f"{account}    conversation_window: {WINDOW_MS}ms\n")
    text += (
        "\nwebhooks:\n"
        "  - {name: deaf, url: 'http://127.0.0.1:9/', secrets: {signing: 'env:CHAPAR_SECRET_DEMO__WEBHOOK_SECRET'}, "
        "events: [feedback.answered.text, sla.warned]}\n"
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


async def is_past(planter: Planter, conversation: str, *, surveyed: bool) -> bool:
    """Return whether the window of the conversation is over, so that the next message begins another conversation.

    The window begins when the intake lane closes the interaction and, if the person is `surveyed`, again with the invitation.
    """
    kafka = planter.stack.kafka
    said = [
        records_pb2.ConversationRecord.FromString(each.value or b"")
        for each in await read_all(kafka, "conversations.v1")
    ]
    sent = [records_pb2.DeliveryRecord.FromString(each.value or b"") for each in await read_all(kafka, "deliveries.v1")]
    closed = [
        each.occurred_at_ms
        for each in said
        if each.conversation_id == conversation and each.HasField("interaction_closed")
    ]
    invited = [
        each.occurred_at_ms
        for each in sent
        if each.conversation_id == conversation and each.purpose == records_pb2.OUTBOUND_PURPOSE_SURVEY
    ]
    ready = closed and (invited or not surveyed)
    return bool(ready) and system_clock() >= max(closed + invited) + WINDOW_MS


async def plant(planter: Planter, provider: HttpProvider) -> tuple[str, str]:
    """Create all data that a person may leave. Return the person and the home identity."""
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
        await until(lambda: is_past(planter, first.conversation_id, surveyed=True))
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
    # From here on no agent answers, so interactions stay open. The survey's minimum gap prevents an invitation for the second contact.
    await until(lambda: is_past(planter, second.conversation_id, surveyed=False))
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
    await files(planter, provider, number)  # before a refusal is prepared, which the provider's next caller gets
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
    await surveys.SubmitSurveyResponse(
        feedback_pb2.SubmitSurveyResponseRequest(
            idempotency_key=uuid.uuid4().hex,
            invitation_id=invited.invitation_id,
            person_id=person,
            score=1,
            comment=n["comment"],
        )
    )
    await until(lambda: _answered(surveys, n["comment"]))
    return person, home


async def files(planter: Planter, provider: HttpProvider, number: int) -> None:
    """A file arrives from Telegram, and another waits for WhatsApp, which is away."""
    n = planter.needles
    content = f"{n['tgcontent']}\n".encode()
    provider.held.files["sent-by-telegram"] = HeldFile(content)
    about = {"file_unique_id": "unique", "file_name": f"{n['tgfile']}.txt", "mime_type": "text/plain"}
    document = {"file_id": "sent-by-telegram", "file_size": len(content), **about}
    await planter.telegram("", number, n["tgname"], document=document, caption=n["tgcaption"])
    await until(lambda: _stored(planter, n["tgcaption"]))
    away = {"id": "12345", "filename": f"{n['wafile']}.pdf", "mime_type": "application/pdf", "caption": n["wacaption"]}
    await planter.whatsapp("", n["phone"], n["waname"], f"wamid.{n['wafileid']}", type="document", document=away)
    await until(lambda: read_all(planter.stack.kafka, WAITING_FETCHES))


async def _stored(planter: Planter, caption: str) -> bool:
    stub = ingest_pb2_grpc.IngestServiceStub(planter.ingest)
    for view in await found_by(planter, caption):
        request = ingest_pb2.GetConversationRequest(conversation_id=view.conversation_id)
        for message in (await stub.GetConversation(request)).messages:
            if any(each.state == records_pb2.ATTACHMENT_STATE_STORED for each in message.message.attachments):
                return True
    return False


async def _has(planter: Planter, conversation: str, state: str) -> bool:
    return state in await states(planter, conversation)


async def _answered(surveys: Any, comment: str) -> bool:
    answers = await surveys.ListSurveyResponses(feedback_pb2.ListSurveyResponsesRequest())
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


async def every_record_is_described(planter: Planter) -> None:
    """Every topic has records, and each has its headers; the trace of a call is in all records that the call caused."""
    kafka = planter.stack.kafka
    await revoke(kafka, Revocation(subject="nobody", issuer="none", tenant="demo"), "demo", system_clock)
    await finalise(kafka, {ROUTER.changelog_topic: 1}, system_clock, tenant="demo", actor="operator")
    await until(lambda: read_all(kafka, "sla.webhooks.v1"))
    counted, found, traces = await survey(kafka)
    assert not found
    assert [topic for topic, count in counted.items() if not count] in ([], ["personal.erasures.v1"])
    caused = ("inbound.v1", "conversations.v1", "outbound.v1", "sla.events.v1", "feedback.commands.v1")
    for topic in (*caused, "routing.commands.v1", "routing.events.v1"):
        assert any(TRACE in trace for trace in traces[topic]), topic


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
            await every_record_is_described(planter)
            await planter.webhook(neighbour, "other", "Other")
            await until(lambda: found_by(planter, neighbour))
            async with DurableProducer(planter.stack.kafka, client_id="control") as producer:
                headers = record_headers("deadletters.v1", "control", "")
                await producer.publish(
                    "deadletters.v1", b"control", DeadLetter(detail=CONTROL).SerializeToString(), headers
                )

            everywhere = {**needles.words, "neighbour": neighbour, "control": CONTROL}
            before = scan(workspace.home, everywhere)
            assert files_of({"control": before.pop("control")}), "the scan sees what Kafka keeps"
            assert "tgcontent" not in before, "files are sealed"
            in_sql = {name for name, files in before.items() if any("history-" in file for file in files)}
            assert {
                "first",
                "second",
                "third",
                "telegram",
                "name",
                "subject",
                "file",
                "reply",
                "wamid",
                "tgfile",
                "wafile",
            } <= in_sql
            assert all("history-" in file for file in files_of(before)), "personal data outside of SQL"

            people = ingest_pb2_grpc.PersonServiceStub(planter.ingest)
            request = ingest_pb2.ErasePersonRequest(idempotency_key="erase-1", person_id=person)
            report = await people.ErasePerson(request, timeout=60)
            assert report.complete, report
            _, found, _ = await survey(planter.stack.kafka)
            assert not found
            assert home in report.identity_ids
            assert len(report.identity_ids) == 6
            assert report.keys_destroyed >= 7
            counts = {store.store: dict(store.counts) for store in report.stores}
            assert counts["intake"]["follow_ups_cancelled"] >= 1
            assert counts["intake"]["interactions_ended"] >= 1
            assert counts["sender"]["deliveries_cancelled"] >= 1
            assert counts["feedback"]["responses"] == 1
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
