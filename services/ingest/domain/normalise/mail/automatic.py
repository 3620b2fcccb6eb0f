"""Which machine wrote a mail: a pure function of its headers, envelope and media type.

No single sign is in every automatic mail, and many signs are in mails of persons too: a form on a web site is
`auto-generated`, a company's relay adds `Feedback-ID`, Exchange adds `X-Auto-Response-Suppress`. So there are three
strengths:
- a sign that decides a kind alone (a delivery report, `Auto-Submitted: auto-replied`, `List-Post`);
- a sign that decides a kind together with another one (the prefix of an automatic reply and an In-Reply-To);
- a sign that only forbids an acknowledgement.
A mail that only generated signs mark, and whose Reply-To is another address, comes from a form: a person wrote it. A
list whose address is ours only carries mail to us. When in doubt, a mail gets a kind that opens an interaction.

Sources: RFC 3834 (Auto-Submitted), RFC 3464 and 6533 (delivery reports), RFC 8098 (receipts), RFC 5965 (complaints),
RFC 2369, 2919 and 8058 (lists), RFC 5321, section 4.5.5 (the null return path), and the headers of common programs.
"""

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.automatic import Automatic
from services.ingest.domain.normalise.mail.absence_notes import is_absence_note
from services.ingest.domain.normalise.mail.automatic_words import (
    has_away_prefix,
    is_bounce_subject,
    is_complaint_subject,
    reports_a_failure,
    speaks_of_absence,
)
from services.ingest.domain.normalise.mail.headers import Headers, canonical, sender
from services.ingest.domain.normalise.mail.mime import parameter
from services.ingest.domain.normalise.mail.spam_marks import spam_marks
from services.policy.model.automatic import AutomaticKind

_DAEMON: Final = re.compile(
    r"(mailer[-_]?daemon|mail-daemon|mdaemon|post_master|microsoftexchange[0-9a-f]{32})", re.IGNORECASE
)
_UNANSWERED: Final = re.compile(
    r"(([a-z0-9]{1,30}[-_.])?no[-_.]?reply|do[-_.]?not[-_.]?reply|notifications?|alerts?-noreply)([+.-].*)?"
    r"|bounces?(\+.*|[-.=].*[0-9=].*)?",
    re.IGNORECASE,
)
_VERP: Final = re.compile(r"bounces?[+.=-].*", re.IGNORECASE)
_POSTMASTER: Final = re.compile(r"postmaster([+.-].*)?", re.IGNORECASE)
_SYSTEM: Final = re.compile(r"system|mail|mailer|root|administrator|mail-?delivery", re.IGNORECASE)
_STATUS_PARTS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED: Final = _STATUS_PARTS | {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}
_RESPONDERS: Final = (
    *("x-autoreply", "x-autorespond", "x-autoresponder", "x-autoresponse", "x-auto-reply-from", "x-auto-reply"),
    *("x-mail-autoreply", "x-vacation", "x-autoreply-from", "x-amazon-auto-reply", "x-yahoo-autoreply"),
    *("x-mdautoresponder", "x-fc-machinegenerated", "x-boxtrapper", "x-zohomail-autoreply"),
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
_RELAYS: Final = ("x-csa-complaints", "x-mailgun-tag", "x-sg-eid", "x-mj-mid", "x-brevo-tag")
"""Headers that a relay of bulk mail writes into each mail, also into the answers that persons send over it."""
_OUR_ID: Final = re.compile(
    r"<chapar\.[0-9a-zA-Z-]{1,80}(?:\.[0-9a-f]{32})?\.[0-9a-f]{20}\.[0-9a-f]{1,32}@([^>@\s]{1,255})>", re.IGNORECASE
)
_REPORTS: Final = {
    "delivery-status": AutomaticKind.BOUNCE,
    "feedback-report": AutomaticKind.BOUNCE,
    "disposition-notification": AutomaticKind.AUTO_REPLY,
}


@dataclass(frozen=True, slots=True)
class Body:
    """What a mail's body says: the whole text, the new text, and the media types of the parts that are not text."""

    text: str = ""
    new_text: str = ""
    types: Set[str] = frozenset()


_NO_BODY: Final = Body()


def classify(
    headers: Headers,
    envelope_from: str,
    author: str,
    content_type: str,
    recipient: str = "",
    own_domain: str = "",
    body: Body = _NO_BODY,
) -> Automatic:
    """Return the kind of an automatic mail with its evidence.

    `envelope_from`: empty for the null return path. `author`: the address in From, canonical. `recipient`: our address.
    `own_domain`: the domain of our Message-IDs, empty if unknown.
    """
    found = _Signs(headers, envelope_from, author, content_type, recipient, own_domain, body)
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
        self,
        headers: Headers,
        envelope_from: str,
        author: str,
        content_type: str,
        recipient: str,
        own_domain: str,
        body: Body,
    ) -> None:
        self._headers = headers
        self._body = body
        self._envelope = canonical(envelope_from) if envelope_from else ""
        self._null_path = (
            not envelope_from or _DAEMON.fullmatch(self._envelope.strip("@").partition("@")[0]) is not None
        )
        self._author = author
        self._local = author.rpartition("@")[0] or headers.text("from").strip(" <>@")[:100]
        self._recipient = canonical(recipient) if recipient else ""
        self._own_domain = own_domain.lower()
        self._is_report = content_type == "multipart/report"
        self._report = _report_type(headers) if self._is_report else ""
        self._submitted = headers.word("auto-submitted").partition(" ")[0]
        self._precedence = headers.word("precedence")
        self._answers = headers.has("in-reply-to") or headers.has("references")
        self._daemon = _DAEMON.fullmatch(self._local) is not None
        self._postmaster = _POSTMASTER.fullmatch(self._local) is not None
        self._subject = headers.text("subject")
        self._reply_to = _other_reply_to(headers, author)
        self._over_our_list = self._is_over_our_list()

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
        for name in ("x-failed-recipients", "x-ms-exchange-message-is-ndr", "x-mailer-daemon", "x-mddsn-message"):
            if self._headers.has(name):
                yield name.replace("-", "_")
        away = self._is_away() or next(self._responders(), None) is not None
        if self._daemon and (self._submitted not in ("", "no", "auto-replied") or not away):
            yield "daemon"
        bounced = is_bounce_subject(self._subject)
        returned = self._postmaster and bool(self._body.types & _RETURNED)
        if bounced and not away and (self._null_path or returned or self._is_machine_report()):
            yield "bounce_subject"
        if is_complaint_subject(self._subject) and self._body.types & _RETURNED:
            yield "complaint"
        if self._is_report and not self._report and (self._null_path or bounced):
            yield "report"
        if not away and self._returns_our_mail():
            yield "returned_mail"

    def auto_reply(self) -> Iterator[str]:
        if _REPORTS.get(self._report) is AutomaticKind.AUTO_REPLY:
            yield "disposition_notification"
        if self._submitted == "auto-replied":
            yield "auto_replied"
        yield from self._responders()
        if self._precedence in ("auto_reply", "auto-reply"):
            yield "precedence"
        if "mailbox rules agent" in self._headers.text("x-ms-exchange-generated-message-source").lower():
            yield "mailbox_rules"
        rules = self._headers.text("x-ms-exchange-inbox-rules-loop").strip().lower()
        if rules and rules == self._author and (self._null_path or self._generated()):
            yield "mailbox_rules"
        if self._headers.text("delivered-to").strip().lower() == "autoresponder":
            yield "autoresponder"
        if self._is_away():
            yield "away_subject"
        if self._generated() and self._answers and not self._any(_LIST_SIGNS) and not self._reply_to:
            yield "generated_answer"
        if self._null_path and self._answers:
            yield "null_return_path"

    def spam(self) -> Iterator[str]:
        return spam_marks(self._headers, answers=self._answers)

    def mailing_list(self) -> Iterator[str]:
        if self._over_our_list:
            return
        for name in _LIST_SIGNS:
            value = self._headers.text(name).strip().lower()
            if value and not (name == "list-post" and value.startswith("no")):
                yield name.replace("-", "_")
        if self._precedence == "list":
            yield "precedence"

    def newsletter(self) -> Iterator[str]:
        if not self._over_our_list:
            yield from self._bulk()
        if self._reply_to:
            return
        if self._precedence in ("bulk", "junk") and not self._over_our_list:
            yield "precedence"
        if self._generated():
            yield "auto_generated"
        if self._null_path:
            yield "null_return_path"
        if _UNANSWERED.fullmatch(self._local):
            yield "unanswered_sender"
        if self._headers.has("x-cron-env"):
            yield "x_cron_env"
        # Relays of companies add Feedback-ID to persons' mails, and ticket systems send agents' answers from such
        # envelope addresses. A service that counts the bounces of its notifications does both.
        if not self._answers and self._headers.has("feedback-id") and _VERP.match(self._envelope):
            yield "feedback_id"

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
        if self._postmaster or _UNANSWERED.fullmatch(self._local):
            yield "unanswered_sender"

    def _bulk(self) -> Iterator[str]:
        """The headers of senders of bulk mail."""
        found = [name for name in _BULK_SIGNS if self._headers.has(name)]
        # A tool for salespersons adds a way to unsubscribe to the answers that they write, and a form does to the mails
        # in which it asks for answers at the address of a person elsewhere.
        exempt: tuple[str, ...] = ()
        if self._answers or (self._reply_to and not _are_related(self._reply_to, self._author)):
            one_click = self._reply_to and "list-unsubscribe-post" in found
            exempt = () if one_click else _UNSUBSCRIBE
        if self._answers:
            exempt += _RELAYS
        for name in found:
            if name not in exempt:
                yield name.replace("-", "_")

    def _is_away(self) -> bool:
        """Return whether the mail is an absence note. Words about an absence prove nothing alone: a person writes about
        it, also in the subject of a form, and so do newsletters."""
        prefix = has_away_prefix(self._subject)
        if self._reply_to or not (prefix or speaks_of_absence(self._subject)):
            return False
        bulk = self._precedence in ("bulk", "junk") and not self._any(_BULK_SIGNS + _LIST_SIGNS)
        if self._generated() or self._null_path or bulk:
            return True
        suppressed = self._headers.text("x-auto-response-suppress").strip().lower() not in ("", "none")
        return (prefix and (suppressed or self._answers)) or is_absence_note(self._body.new_text)

    def _responders(self) -> Iterator[str]:
        """The headers that programs write into automatic replies."""
        for name in _RESPONDERS:
            if self._headers.has(name) and self._headers.word(name) not in ("no", "none", "false"):
                yield name.replace("-", "_")
        if self._headers.word("x-autogenerated") == "reply":  # CommuniGate
            yield "x_autogenerated"
        if self._headers.word("x-post-messageclass") == "9":  # Mailtraq
            yield "x_post_messageclass"

    def _is_system(self) -> bool:
        """Return whether the sender's name is a mail system's. Administrators write from such addresses too."""
        return self._daemon or self._postmaster or _SYSTEM.fullmatch(self._local) is not None

    def _is_machine_report(self) -> bool:
        """Return whether a program of a mail system wrote the mail. An administrator may quote errors, so the text
        proves nothing."""
        generated = self._generated() or self._is_report or bool(self._body.types & _STATUS_PARTS)
        return self._is_system() and generated

    def _returns_our_mail(self) -> bool:
        """Return whether a mail server reports a failure in words of its own."""
        if self._answers or self._reply_to:
            return False
        if self._submitted == "auto-replied" and not self._is_system():
            return False  # an automatic reply of a closed mailbox speaks of a failure too
        if self._null_path and self._body.types & _RETURNED:
            return True
        return (self._null_path or self._is_machine_report()) and reports_a_failure(self._subject, self._body.text)

    def _is_over_our_list(self) -> bool:
        """Return whether the list that carried this mail has our address: a group that takes in mail for us."""
        if not self._recipient:
            return False
        posts = self._headers.text("list-post").lower()
        name = self._headers.text("list-id").lower().rpartition("<")[2].rstrip("> ")
        return f"mailto:{self._recipient}>" in posts or name == self._recipient.replace("@", ".")

    def _generated(self) -> bool:
        return (
            self._submitted not in ("", "no", "auto-replied")
            or self._headers.word("x-autogenerated") == "letter"
            or self._headers.word("x-servicenow-generated") == "true"
        )

    def _any(self, names: tuple[str, ...]) -> bool:
        return any(self._headers.has(name) for name in names)


def _report_type(headers: Headers) -> str:
    return parameter(headers, "content-type", "report-type").strip().lower()


def _other_reply_to(headers: Headers, author: str) -> str:
    """Return the one address that the mail asks answers for, if it is neither the author's nor one without a reader."""
    values = headers.raw("reply-to")
    if len(values) != 1:
        return ""
    wanted = sender(values[0], "")
    if not wanted.address or wanted.ambiguous:
        return ""
    address = canonical(wanted.address)
    return "" if address == author or _UNANSWERED.fullmatch(address.rpartition("@")[0]) else address


def _are_related(one: str, other: str) -> bool:
    """Return whether two addresses are of one domain or of a domain and its subdomain."""
    first, second = (f".{address.rpartition('@')[2]}" for address in (one, other))
    return first.endswith(second) or second.endswith(first)
