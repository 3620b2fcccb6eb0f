"""Which machine wrote a mail: a pure function of its headers, envelope and media type.

No single sign is in every automatic mail, and many signs are in mails of persons too: a form on a web site is
`auto-generated`, a company's relay adds `Feedback-ID`, Exchange adds `X-Auto-Response-Suppress`. So there are three
strengths:
- a sign that decides a kind alone (a delivery report, `Auto-Submitted: auto-replied`, `List-Post`);
- a sign that decides a kind together with another one (an out-of-office subject and an In-Reply-To);
- a sign that only forbids an acknowledgement.
A mail that only generated signs mark, and whose Reply-To is another address, comes from a form: a person wrote it. When
in doubt, a mail gets a kind that opens an interaction.
"""

import re
from collections.abc import Iterator
from typing import Final

from services.ingest.domain.automatic import Automatic
from services.ingest.domain.normalise.mail.headers import Headers, canonical, sender
from services.ingest.domain.normalise.mail.mime import parameter
from services.policy.model.automatic import AutomaticKind

_DAEMON: Final = re.compile(r"(mailer-daemon|mail-daemon|mailerdaemon|microsoftexchange[0-9a-f]{32})", re.IGNORECASE)
_UNANSWERED: Final = re.compile(
    r"(no[-_.]?reply|do[-_.]?not[-_.]?reply|bounces?|notifications?|alerts?-noreply)([+.-].*)?", re.IGNORECASE
)
_POSTMASTER: Final = re.compile(r"postmaster([+.-].*)?", re.IGNORECASE)
_BOUNCED: Final = re.compile(
    r"\s*(undeliver|undelivered|delivery (status notification|failure|has failed|delayed|incomplete)|failure notice"
    r"|returned mail|mail delivery|message delivery|mail system error|warning: (message|could not)|non[- ]?delivery"
    r"|delivery notification|غیر ?قابل تحویل|تحویل داده نشد|عدم تحویل|پیام تحویل نشد)",
    re.IGNORECASE,
)
_AWAY: Final = re.compile(
    r"\s*(\[?auto(matic)?[- ]?(reply|response|answer)\]?\b|auto: |out[- ]of[- ](the[- ])?office\b|ooo\b\s*:|away from (the )?office"
    r"|on (vacation|holiday|annual leave)\b\s*:?|vacation reply|پاسخ خودکار|پاسخ اتوماتیک|جواب خودکار|خارج از دفتر"
    r"|عدم حضور|در مرخصی|مرخصی\s*:)",
    re.IGNORECASE,
)
_RESPONDERS: Final = (
    *("x-autoreply", "x-autorespond", "x-autoresponder", "x-autoresponse", "x-auto-reply-from", "x-auto-reply"),
    *("x-mail-autoreply", "x-vacation", "x-autoreply-from", "x-amazon-auto-reply", "x-yahoo-autoreply"),
)
_LIST_SIGNS: Final = (
    *("list-post", "list-subscribe", "x-mailman-version", "x-beenthere", "x-google-group-id", "mailing-list"),
    *("x-mailing-list", "x-sympa-to", "x-list-administrivia", "list-owner"),
)
_BULK_SIGNS: Final = (
    *("list-unsubscribe-post", "list-unsubscribe", "list-id", "list-help", "x-campaign", "x-campaignid", "x-mc-user"),
    *("x-csa-complaints", "x-mailgun-tag", "x-sg-eid", "x-mailer-campaign", "x-mj-mid", "x-brevo-tag", "x-newsletter"),
)
_UNSUBSCRIBE: Final = ("list-unsubscribe", "list-unsubscribe-post")
_SPAM_FLAGS: Final = ("x-spam-flag", "x-spam", "x-barracuda-spam-flag", "x-spam-status", "x-rspamd-spam", "x-ovh-spam")
_OUR_ID: Final = re.compile(
    r"<chapar\.[0-9a-zA-Z-]{1,80}(?:\.[0-9a-f]{32})?\.[0-9a-f]{20}\.[0-9a-f]{1,32}@([^>@\s]{1,255})>", re.IGNORECASE
)
_REPORTS: Final = {
    "delivery-status": AutomaticKind.BOUNCE,
    "feedback-report": AutomaticKind.BOUNCE,
    "disposition-notification": AutomaticKind.AUTO_REPLY,
}


def classify(
    headers: Headers, envelope_from: str, author: str, content_type: str, recipient: str = "", own_domain: str = ""
) -> Automatic:
    """Return the kind of an automatic mail with its evidence.

    `envelope_from`: empty for the null return path. `author`: the address in From, canonical. `recipient`: our address.
    `own_domain`: the domain of our Message-IDs, empty if unknown.
    """
    found = _Signs(headers, envelope_from, author, content_type, recipient, own_domain)
    for kind, signs in (
        (AutomaticKind.OWN, found.own()),
        (AutomaticKind.BOUNCE, found.bounce()),
        (AutomaticKind.AUTO_REPLY, found.auto_reply()),
        (AutomaticKind.SPAM_SUSPECT, found.spam()),
        (AutomaticKind.LIST, found.mailing_list()),
        (AutomaticKind.NEWSLETTER, found.newsletter()),
    ):
        evidence = tuple(dict.fromkeys(signs))
        if evidence:
            return Automatic(kind, evidence)
    return Automatic(AutomaticKind.NONE, tuple(dict.fromkeys(found.silent())))


class _Signs:
    """The signs of one mail, by the kind that they decide."""

    def __init__(
        self, headers: Headers, envelope_from: str, author: str, content_type: str, recipient: str, own_domain: str
    ) -> None:
        self._headers = headers
        self._null_path = not envelope_from
        self._envelope = canonical(envelope_from) if envelope_from else ""
        self._author = author
        self._local = author.rpartition("@")[0]
        self._recipient = canonical(recipient) if recipient else ""
        self._own_domain = own_domain.lower()
        self._report = _report_type(headers) if content_type == "multipart/report" else ""
        self._is_report = content_type == "multipart/report"
        self._submitted = headers.word("auto-submitted").partition(" ")[0]
        self._precedence = headers.word("precedence")
        self._answers = headers.has("in-reply-to") or headers.has("references")
        self._daemon = _DAEMON.fullmatch(self._local) is not None
        self._subject = headers.text("subject")
        self._other_reply_to = _other_reply_to(headers, author)

    def own(self) -> Iterator[str]:
        ours = _OUR_ID.fullmatch(self._headers.text("message-id").strip())
        if ours is not None and self._own_domain and ours.group(1).lower() == self._own_domain:
            yield "own_message_id"
        loops = [value.decode("utf-8", "replace").strip(" <>").lower() for value in self._headers.raw("x-loop")]
        if self._recipient and self._recipient in loops:
            yield "own_loop"

    def bounce(self) -> Iterator[str]:
        if _REPORTS.get(self._report) is AutomaticKind.BOUNCE:
            yield "report"
        for name in ("x-failed-recipients", "x-ms-exchange-message-is-ndr", "x-mailer-daemon"):
            if self._headers.has(name):
                yield name.replace("-", "_")
        if (self._daemon and self._submitted not in ("", "no", "auto-replied")) or (
            self._daemon and not self._answers_away()
        ):
            yield "daemon"
        bounced = _BOUNCED.match(self._subject) is not None or "undeliverable" in self._subject.lower()
        if bounced and (self._null_path or _POSTMASTER.fullmatch(self._local)):
            yield "bounce_subject"
        if self._is_report and not self._report and (self._null_path or bounced):
            yield "report"

    def auto_reply(self) -> Iterator[str]:
        if _REPORTS.get(self._report) is AutomaticKind.AUTO_REPLY:
            yield "disposition_notification"
        if self._submitted == "auto-replied":
            yield "auto_replied"
        for name in _RESPONDERS:
            if self._headers.has(name) and self._headers.word(name) not in ("no", "none", "false"):
                yield name.replace("-", "_")
        if self._precedence in ("auto_reply", "auto-reply"):
            yield "precedence"
        if "mailbox rules agent" in self._headers.text("x-ms-exchange-generated-message-source").lower():
            yield "mailbox_rules"
        if self._headers.text("delivered-to").strip().lower() == "autoresponder":
            yield "autoresponder"
        if self._answers_away():
            yield "away_subject"
        if self._generated() and self._answers and not self._any(_LIST_SIGNS) and not self._other_reply_to:
            yield "generated_answer"
        if self._null_path and self._answers:
            yield "null_return_path"

    def spam(self) -> Iterator[str]:
        for name in _SPAM_FLAGS:
            if re.match(r"(yes|true|1)\b", self._headers.word(name)):
                yield name.replace("-", "_")
        if re.fullmatch(r"[5-9]", self._headers.word("x-ms-exchange-organization-scl")):
            yield "spam_confidence"
        if re.search(r"\bSFV:SP[MB]\b", self._headers.text("x-forefront-antispam-report")):
            yield "forefront"

    def mailing_list(self) -> Iterator[str]:
        for name in _LIST_SIGNS:
            value = self._headers.text(name).strip().lower()
            if value and not (name == "list-post" and value.startswith("no")):
                yield name.replace("-", "_")
        if self._precedence == "list":
            yield "precedence"

    def newsletter(self) -> Iterator[str]:
        for name in _BULK_SIGNS:
            # A tool for salespersons adds a way to unsubscribe to the answers that they write.
            if self._headers.has(name) and not (self._answers and name in _UNSUBSCRIBE):
                yield name.replace("-", "_")
        if self._other_reply_to:
            return
        if self._precedence in ("bulk", "junk"):
            yield "precedence"
        if self._generated():
            yield "auto_generated"
        if self._null_path:
            yield "null_return_path"
        if _UNANSWERED.fullmatch(self._local):
            yield "unanswered_sender"

    def silent(self) -> Iterator[str]:
        """The signs that decide no kind."""
        if self._null_path:
            yield "null_return_path"
        elif self._envelope != self._author:
            yield "other_envelope"  # an acknowledgement may go to the envelope sender only (RFC 3834, section 4)
        if self._recipient and self._author == self._recipient:
            yield "own_address"
        if self._generated():
            yield "auto_generated"
        if self._precedence in ("bulk", "junk"):
            yield "precedence"
        if self._headers.text("x-auto-response-suppress").strip().lower() not in ("", "none"):
            yield "suppressed"
        for name in ("x-loop", "feedback-id", *_UNSUBSCRIBE):
            if self._headers.has(name):
                yield name.replace("-", "_")
        if self._is_report:
            yield "report"
        if _POSTMASTER.fullmatch(self._local) or _UNANSWERED.fullmatch(self._local):
            yield "unanswered_sender"

    def _answers_away(self) -> bool:
        """An out-of-office subject proves nothing alone: a person may write about it."""
        if _AWAY.match(self._subject) is None:
            return False
        suppressed = self._headers.text("x-auto-response-suppress").strip().lower() not in ("", "none")
        return (
            suppressed or self._generated() or self._null_path or self._answers or self._precedence in ("bulk", "junk")
        )

    def _generated(self) -> bool:
        return self._submitted not in ("", "no", "auto-replied") or self._headers.has("x-autogenerated")

    def _any(self, names: tuple[str, ...]) -> bool:
        return any(self._headers.has(name) for name in names)


def _report_type(headers: Headers) -> str:
    return parameter(headers, "content-type", "report-type").strip().lower()


def _other_reply_to(headers: Headers, author: str) -> bool:
    """Return whether the mail asks for answers at one address that is neither the author's nor one without a reader."""
    values = headers.raw("reply-to")
    if len(values) != 1:
        return False
    wanted = sender(values[0], "")
    if not wanted.address or wanted.ambiguous:
        return False
    address = canonical(wanted.address)
    return address != author and _UNANSWERED.fullmatch(address.rpartition("@")[0]) is None
