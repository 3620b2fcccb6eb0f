"""Says in one line what a customer did: wrote, edited, deleted, reacted, or sent something of a kind."""

from typing import Final

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.cli.folding import folded

_LONGEST: Final = 60
_MOST: Final = 500
_UNKNOWN: Final = "an earlier message"


_KILO: Final = 1024


def file_line(file: records_pb2.Attachment) -> str:
    """Return a file in a few words, e.g. `invoice.pdf (application/pdf, 12 KB)`."""
    size = f"{max(1, round(file.size / _KILO))} KB" if file.size else ""
    about = ", ".join(each for each in (file.content_type if file.name else "", size, _state(file)) if each)
    name = file.name or file.content_type or "file"
    return f"{name} ({about})" if about else name


def _state(file: records_pb2.Attachment) -> str:
    if file.state == records_pb2.ATTACHMENT_STATE_REFUSED:
        why = records_pb2.AttachmentRefusal.Name(file.refusal).removeprefix("ATTACHMENT_REFUSAL_")
        return f"not kept: {why.lower().replace('_', ' ')}"
    return "not fetched yet" if file.state == records_pb2.ATTACHMENT_STATE_TO_FETCH else ""


class MessageLines:
    """The messages of one conversation, in their order. It remembers the newest texts, to name what a later message is
    about."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def line(self, message: records_pb2.ConversationMessage) -> str:
        """Return who did what, e.g. `customer edits "helo": hello`. A text without a content is shown as it is."""
        who = types_pb2.ActorKind.Name(message.author_kind).removeprefix("ACTOR_KIND_").lower()
        who += " (blocked, not routed)" if message.blocked else ""
        shown, _ = folded(message)
        about = self._about(message)
        self._remember(message, shown)
        if message.deletes_message_id:
            return f"{who} deletes {about}"
        if message.kind == records_pb2.MESSAGE_KIND_REACTION:
            return f"{who} reacts with {shown} to {about}" if shown else f"{who} takes the reaction to {about} back"
        if message.edits_message_id:
            return f"{who} edits {about}: {shown}"
        kind = f" ({message.content})" if message.content and not message.placeholder else ""
        answers = f" to {about}" if message.in_reply_to and about != _UNKNOWN else ""
        files = ", ".join(file_line(each) for each in message.attachments)
        return " ".join(part for part in (f"{who}{kind}{answers}:", shown, f"[{files}]" if files else "") if part)

    def _about(self, message: records_pb2.ConversationMessage) -> str:
        about = message.deletes_message_id or message.edits_message_id or message.in_reply_to
        text = self._texts.get(about)
        if text is None:
            return _UNKNOWN
        return f'"{text}"'

    def _remember(self, message: records_pb2.ConversationMessage, shown: str) -> None:
        line = " ".join(shown.split())
        short = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
        for name in (message.message_id, message.native_message_id, message.edits_message_id):
            if name and short:
                self._texts[name] = short
        for oldest in list(self._texts)[:-_MOST]:
            del self._texts[oldest]
