"""Web chat's frames and visitors' tokens.

Client to server, one JSON object a frame:
    {"type": "hello", "token": "", "identifier": "", "identifier_hash": "", "name": "", "language": "fa",
     "after": {"conversation": "…", "seq": 12}}                     first frame; all but the type optional
    {"type": "message", "id": "<UUID made by the client>", "text": "…", "reply_to": "", "identifier_hash": "",
     "files": ["<receipt of an upload>"]}                           a text or files
    {"type": "typing"}, {"type": "ping"}, {"type": "end", "id": "<UUID>"}

Server to client: welcome, message, ack, refused, pong, closing (see `adapters/edges/webchat_in.py`).

A visitor's token is `v1.<visitor>.<issued at, s>.<HMAC>`. The token alone identifies the visitor: a client that has it
is that visitor. A signed login is proved by `identifier_hash` instead, with every message, so that a login ends at once
when the secret is rotated.
"""

import re
from dataclasses import dataclass

import msgspec

from services.ingest.domain.normalise.json_body import may_be_unstorable, parse_json, shaped, unstorable
from services.ingest.domain.normalise.message import IncomingAttachment, IncomingMessage, Refusal
from services.ingest.domain.normalise.proof import keyed_hash, same
from services.ingest.domain.normalise.text import clean_name
from services.ingest.domain.normalise.webhook import kind_of
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.domain.reasons import Reason

SIGNED = Origin(OriginProof.SIGNED_IDENTITY, "a login signed by the site")
RETURNING = Origin(OriginProof.VISITOR_TOKEN, "the token of this browser")

MAX_TEXT = 8_000
MAX_FILES = 10
MAX_IDENTIFIER = 200
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_VISITOR = re.compile(r"[0-9a-zA-Z-]{8,64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class After(msgspec.Struct, frozen=True):
    """The newest message that the client has."""

    conversation: str
    seq: int = -1


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """The first frame."""

    token: str = ""
    identifier: str = ""
    identifier_hash: str = ""
    name: str = ""
    language: str = ""
    after: After | None = None


class Say(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message."""

    id: str
    text: str = ""
    files: list[str] = []
    reply_to: str = ""
    identifier_hash: str = ""


class End(msgspec.Struct, frozen=True, tag="end", tag_field="type"):
    """The customer has pressed the end button."""

    id: str


class Typing(msgspec.Struct, frozen=True, tag="typing", tag_field="type"):
    """The customer is typing. Not stored."""


class Ping(msgspec.Struct, frozen=True, tag="ping", tag_field="type"):
    """Asks for a pong, to check that the connection works."""


Frame = Hello | Say | End | Typing | Ping


def parse_frame(raw: bytes) -> Frame | Refusal:
    """Parse one frame, or return the refusal."""
    value = parse_json(raw)
    if isinstance(value, Refusal):
        return value
    refusal = unstorable(value) if may_be_unstorable(raw) else None
    if refusal is not None:
        return refusal
    frame: Frame | Refusal = shaped(value, Frame)  # type: ignore[arg-type]  # msgspec takes unions, its stubs say classes
    if isinstance(frame, Refusal):
        return frame
    return _wrong(frame) or frame


def id_in(raw: bytes) -> str:
    """Return the id in a frame that was refused, so that the client knows which message it was; "" when there is none."""
    value = parse_json(raw)
    given = value.get("id") if isinstance(value, dict) else None
    if not isinstance(given, str) or len(given) > MAX_IDENTIFIER or unstorable(given) is not None:
        return ""
    return given


def _wrong(frame: Frame) -> Refusal | None:
    if isinstance(frame, Say | End) and not _UUID.fullmatch(frame.id):
        return Refusal(
            Reason.INVALID_FIELD, "id", "must be a UUID made by the client; a repeated message must have the same UUID"
        )
    if isinstance(frame, Say):
        if not frame.text.strip() and not frame.files:
            return Refusal(Reason.INVALID_FIELD, "text", "must not be empty")
        if len(frame.files) > MAX_FILES:
            return Refusal(Reason.INVALID_FIELD, "files", f"must not be more than {MAX_FILES}")
        if len(frame.text) > MAX_TEXT:
            return Refusal(Reason.TEXT_TOO_LONG, "text", f"must not be longer than {MAX_TEXT} characters")
    if isinstance(frame, Hello) and (len(frame.identifier) > MAX_IDENTIFIER or len(frame.name) > 2 * MAX_IDENTIFIER):
        return Refusal(Reason.INVALID_FIELD, "identifier", f"must not be longer than {MAX_IDENTIFIER} characters")
    return None


def issue_token(secret: str, place: str, visitor: str, now_s: int) -> str:
    """Issue a token for a visitor of one account (`place`: tenant/account)."""
    return f"v1.{visitor}.{now_s}.{keyed_hash(secret, 'visitor', place, visitor, str(now_s))}"


def visitor_of(token: str, secret: str, place: str, now_s: int, max_age_s: float) -> str | None:
    """Return the visitor of a token; None when it is not ours, not for this account, or too old."""
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != "v1" or not _VISITOR.fullmatch(parts[1]) or not _SECONDS.fullmatch(parts[2]):
        return None
    if not same(parts[3], keyed_hash(secret, "visitor", place, parts[1], parts[2])):
        return None
    return parts[1] if -300 <= now_s - int(parts[2]) <= max_age_s else None


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor of a web chat."""

    native_id: str
    verified: bool
    identifier: str = ""
    display_name: str = ""
    language: str = ""


def visitor(native: str, hello: Hello, *, verified: bool) -> Visitor:
    """Return the visitor of a hello. Ids of logged-in and anonymous visitors never collide."""
    native_id = f"user:{hello.identifier}" if verified else f"visitor:{native}"
    return Visitor(native_id, verified, hello.identifier if verified else "", clean_name(hello.name), hello.language)


def as_sent(frame: Say | End) -> bytes:
    """Return a frame as it was sent, without the proof of a login: who has it could write in the customer's name."""
    return msgspec.json.encode(msgspec.structs.replace(frame, identifier_hash="") if isinstance(frame, Say) else frame)


def said(who: Visitor, frame: Say | End, now_ms: int, files: tuple[IncomingAttachment, ...] = ()) -> IncomingMessage:
    """Convert a frame to a message, with the files that it names. An end frame becomes a message that says that the
    customer has left."""
    ends = isinstance(frame, End)
    text = frame.text if isinstance(frame, Say) else ""
    return IncomingMessage(
        native_id=who.native_id,
        native_message_id=frame.id.lower(),
        text=text,
        kind=kind_of(text, bool(files)),
        attachments=files,
        display_name=who.display_name,
        verified=who.verified,
        origin=SIGNED if who.verified else RETURNING,
        language=who.language,
        sent_at_ms=now_ms,
        in_reply_to=frame.reply_to if isinstance(frame, Say) else "",
        reply_context={"visitor": who.native_id},
        customer_left=ends,
        no_auto_reply=ends,
    )
