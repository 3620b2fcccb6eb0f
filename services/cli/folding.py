"""Shows a message as the desk does: the new text, and what is folded below it."""

from typing import Final

from chapar.ingest.v1 import records_pb2

_NAMES: Final = {
    records_pb2.TEXT_PART_KIND_QUOTED: "quoted",
    records_pb2.TEXT_PART_KIND_FORWARDED: "forwarded",
    records_pb2.TEXT_PART_KIND_SIGNATURE: "signature",
    records_pb2.TEXT_PART_KIND_DISCLAIMER: "disclaimer",
}


def folded(message: records_pb2.ConversationMessage) -> tuple[str, str]:
    """Return the new text, and a note that names the folded parts, e.g. "quoted 12 lines, signature 2 lines". The note
    is empty when nothing is folded. A message without new text is shown completely."""
    new: list[str] = []
    lines: dict[str, int] = {}
    at = 0
    for part in message.text_parts:
        text = message.text[at : at + part.length].strip()
        at += part.length
        if part.kind == records_pb2.TEXT_PART_KIND_NEW:
            new.append(text)
        elif text:
            name = _NAMES.get(part.kind, "other")
            lines[name] = lines.get(name, 0) + text.count("\n") + 1
    shown = "\n\n".join(text for text in new if text)
    if not shown or not lines:
        return message.text, ""
    return shown, ", ".join(f"{name} {count} {'line' if count == 1 else 'lines'}" for name, count in lines.items())
