"""What a bounce says: which mail of ours did not arrive, at which address, and why.

Delivery reports (RFC 3464) have a part of their own for machines. Older servers write only text, in a few known forms
(qmail, Exim, Gmail). The mail that failed is known by its own Message-ID, which most reports include, as a whole mail or
as its headers; the account's secret proves later that it is ours.
"""

import re
from collections.abc import Iterable
from typing import Final

from services.ingest.domain.automatic import BounceReport
from services.ingest.domain.normalise.mail.charsets import labelled
from services.ingest.domain.normalise.mail.headers import MAX_ADDRESS, Headers, canonical, message_ids, split
from services.ingest.domain.normalise.mail.mime import Part
from services.ingest.domain.normalise.text import clean_line

_MAX_REPORT: Final = 64 << 10
_MAX_REASON: Final = 300
_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_CODE: Final = re.compile(r"(?<![\d.])([45])\d\d(?=[ -])")
_ADDRESS: Final = re.compile(r"([^\s<>@\",;:()\[\]]{1,128}@[^\s<>@\",;:()\[\]]{1,255})")
_QMAIL: Final = re.compile(r"(?m)^<([^\s<>@]{1,128}@[^\s<>@]{1,255})>:[ \t]*\r?$")
_OUR_DELIVERY: Final = re.compile(r"<chapar\.[^@>\s]{1,160}\.([0-9a-f]{12})@[^@>\s]{1,255}>")
_DELAYED: Final = frozenset({"delayed", "relayed", "expanded", "delivered"})


def bounce_report(headers: Headers, parts: Iterable[Part]) -> BounceReport:
    """Return what the report says. The first failed recipient counts: Chapar's mails have one."""
    status_part = original = text = b""
    for part in parts:
        if part.type in ("message/delivery-status", "message/global-delivery-status") and not status_part:
            status_part = part.body[:_MAX_REPORT]
        elif part.type in ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"):
            original = original or part.body[:_MAX_REPORT]
        elif part.type == "text/plain" and not text:
            text = part.body[:_MAX_REPORT]
    said = labelled(text, "")
    message_id = _message_id(original, headers, said)
    delivery = _OUR_DELIVERY.fullmatch(message_id)
    found = _from_status(status_part) if status_part else _from_text(headers, said)
    return BounceReport(
        recipient=found.recipient,
        status=found.status,
        reason=found.reason,
        failed=found.failed,
        message_id=message_id,
        delivery=delivery.group(1) if delivery is not None else "",
    )


def _from_status(body: bytes) -> BounceReport:
    """Read the fields of the first recipient that failed, or of the first recipient."""
    groups = [split(group + b"\r\n\r\n")[0] for group in re.split(rb"\r?\n[ \t]*\r?\n", body.strip())[:20]]
    recipients = [group for group in groups if group.has("final-recipient") or group.has("original-recipient")]
    if not recipients:
        return BounceReport()
    failed = [group for group in recipients if group.word("action") == "failed"]
    chosen = (failed or recipients)[0]
    reason = chosen.text("diagnostic-code").partition(";")[2].strip() or chosen.text("diagnostic-code")
    status = _STATUS.search(chosen.text("status")) or _STATUS.search(reason)
    return BounceReport(
        recipient=_typed_address(chosen.text("original-recipient")) or _typed_address(chosen.text("final-recipient")),
        status=status.group(1) if status is not None else "",
        reason=clean_line(reason, _MAX_REASON),
        failed=chosen.word("action") not in _DELAYED,
    )


def _from_text(headers: Headers, said: str) -> BounceReport:
    """Read the forms of servers that write no report for machines."""
    named = _ADDRESS.search(headers.text("x-failed-recipients"))
    qmail = _QMAIL.search(said)
    recipient, start = "", 0
    if named is not None:
        recipient = named.group(1)
        start = max(0, said.lower().find(recipient.lower()))
    elif qmail is not None:
        recipient, start = qmail.group(1), qmail.end()
    after = said[start : start + 2000]
    status = _STATUS.search(after)
    code = _CODE.search(after)
    lines = [line.strip() for line in after.split("\n") if line.strip()]
    reason = next((line for line in lines if _STATUS.search(line) or _CODE.search(line)), "")
    return BounceReport(
        recipient=canonical(recipient) if recipient else "",
        status=status.group(1) if status is not None else f"{code.group(1)}.0.0" if code is not None else "",
        reason=clean_line(reason, _MAX_REASON),
        failed=re.match(
            r"\s*(warning|delayed|delivery (delayed|status notification \(delay))", headers.text("subject"), re.I
        )
        is None,
    )


def _typed_address(value: str) -> str:
    """Return the address of `rfc822; a@b.example`, canonical."""
    found = _ADDRESS.search(value.partition(";")[2] or value)
    return canonical(found.group(1)[:MAX_ADDRESS]) if found is not None else ""


def _message_id(original: bytes, headers: Headers, said: str) -> str:
    """Return the id of the mail that failed: from the mail in the report, then from the report's own headers, then from
    its text."""
    if original:
        ids = message_ids(split(original)[0].text("message-id"))
        if ids:
            return ids[0]
    for name in ("in-reply-to", "references"):
        ids = message_ids(headers.text(name))
        if ids:
            return ids[-1]
    quoted = re.search(r"(?im)^[> \t]*message-id:[ \t]*(<[^\s<>]{1,500}>)", said)
    return quoted.group(1) if quoted is not None else ""
