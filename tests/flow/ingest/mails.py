"""Mails and updates as bytes, through the edges' own parsers, into the joined lanes; and our answers to them."""

import json
from collections.abc import Sequence
from typing import Any

from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.normalise.mail.mail import parse_mail
from services.ingest.domain.normalise.mail.origin import Authenticated, Mailbox, with_origin
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.domain.reply_token import message_id, token_of
from services.ingest.ports import Account
from services.ingest.translate.edges import identity_id_of, inbound_record
from tests.flow.ingest.world import TENANT, World

OURS, DOMAIN, SECRET = "help@acme.example", "acme.example", "a long secret of the mailbox"
HELP = Account(TENANT, "email", "help", {}, {"address": OURS}, "en")
BOT = Account(TENANT, "telegram", "bot", {}, {}, "en")
MAILBOX = Mailbox(lambda address: identity_id_of(HELP, address), lambda address: address == OURS)
_SIGNED = Origin(OriginProof.PROVIDER_SIGNATURE, "the webhook's secret")
_AT_MS = 1_700_000_000_000


def a_mail(
    sender: str,
    text: str,
    *,
    subject: str = "",
    reply_to: str = "",
    native_id: str = "",
    answers: str = "",
    references: Sequence[str] = (),
    to: str = OURS,
    cc: str = "",
    known: Authenticated | None = None,
    extra: str = "",
) -> pb.InboundRecord:
    """Return the record that the mail edge writes. `known`: what it has verified; nothing by default."""
    head = {
        "From": sender,
        "To": to,
        "Cc": cc,
        "Reply-To": reply_to,
        "Subject": subject,
        "Message-ID": native_id or f"<{abs(hash((sender, text, subject)))}@client.example>",
        "In-Reply-To": answers,
        "References": " ".join(references),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value)
    raw = f"{lines}{extra}\r\n{text}\r\n".encode()
    message = parse_mail(raw, sender, OURS, lambda each: token_of(each, SECRET), DOMAIN)
    return inbound_record(HELP, with_origin(message, known or Authenticated(), MAILBOX), _AT_MS)


def an_update(chat: int, user: int, text: str, number: int, thread: int = 0, **fields: Any) -> pb.InboundRecord:
    """Return the record of a Telegram message. A chat with a negative id is a group."""
    message: dict[str, Any] = {
        "message_id": number,
        "date": 1_700_000_000,
        "text": text,
        "from": {"id": user, "is_bot": False, "first_name": "Sara"},
        "chat": {"id": chat, "type": "supergroup" if chat < 0 else "private"},
        **({"message_thread_id": thread, "is_topic_message": True} if thread else {}),
        **fields,
    }
    (parsed,) = parse_update(json.dumps({"update_id": number, "message": message}).encode()).messages
    return inbound_record(BOT, parsed, _AT_MS, _SIGNED)


def answers(world: World, conversation_id: str, text: str = "our answer", **fields: Any) -> list[AttemptJob]:
    """Let an agent answer in a conversation; returns the attempt, which the provider has accepted, or none."""
    before, asked = len(world.attempts.jobs), len(world.delivery_records)
    world.reply(conversation_id, text, f"r{asked}", **fields)
    made = world.attempts.jobs[before:]
    for job in made:
        world.outcome(Outcome.ACCEPTED, job)
    return made


def answer(world: World, conversation_id: str, text: str = "our answer", **fields: Any) -> AttemptJob:
    """Let an agent answer in a conversation; returns the attempt, which the provider has accepted."""
    (job,) = answers(world, conversation_id, text, **fields)
    return job


def id_of(job: AttemptJob) -> str:
    """Return the Message-ID of our mail."""
    to = job.route.identity.identity_id
    return message_id(job.conversation_id, job.delivery.delivery_id, SECRET, DOMAIN, to)


def address(job: AttemptJob) -> str:
    """Return the address to which an answer goes: a mailbox, or a chat with its topic."""
    context = job.route.context
    if job.route.identity.channel == "email":
        return context.get("reply_to") or job.route.identity.native_id
    return "/".join(filter(None, (context["chat_id"], context.get("message_thread_id", ""))))


def texts(world: World, conversation_id: str) -> list[str]:
    """Return the texts of the customers in a conversation, in order."""
    said = [record for record in world.conversation if record.WhichOneof("record") == "message"]
    return [
        record.message.text.strip()
        for record in said
        if record.conversation_id == conversation_id and record.message.author_kind == 1
    ]
