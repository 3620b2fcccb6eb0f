"""Whether a mail may get an automatic answer. One sign against it is enough; no single sign is in every such mail."""

import re

from services.ingest.domain.normalise.mail.headers import Headers

_MACHINES = re.compile(
    r"(mailer-daemon|postmaster|no-?reply|do-?not-?reply|bounces?|notifications?)([+.-].*)?", re.IGNORECASE
)
_ANY_OF = ("x-autoreply", "x-autorespond", "x-loop", "x-failed-recipients", "feedback-id", "x-mailer-daemon")
_LISTS = frozenset({"bulk", "list", "junk", "auto_reply"})


def why_automatic(headers: Headers, envelope_from: str, sender: str, content_type: str, own_domain: str = "") -> str:
    """Return the sign that forbids an automatic answer, or an empty string. `own_domain`: the domain of our Message-IDs."""
    if not envelope_from:
        return "null_return_path"
    if headers.has("auto-submitted") and headers.word("auto-submitted") != "no":
        return "auto_submitted"
    if headers.word("precedence") in _LISTS:
        return "precedence"
    if any(name.startswith("list-") for name, _ in headers.items):
        return "mailing_list"
    suppress = headers.text("x-auto-response-suppress").lower()
    if suppress and suppress != "none":
        return "suppressed"
    for name in _ANY_OF:
        if headers.has(name):
            return name.replace("-", "_")
    if content_type == "multipart/report":
        return "report"
    if _MACHINES.fullmatch(sender.partition("@")[0]) or _MACHINES.fullmatch(envelope_from.partition("@")[0]):
        return "machine_sender"
    if own_domain and headers.text("message-id").rstrip("> ").lower().endswith("@" + own_domain.lower()):
        return "own_message_id"
    return ""
