"""Which machine wrote a mail: each strong sign alone, weak signs only together, and mails of persons that look automatic."""

from email.message import EmailMessage

import pytest

from services.ingest.domain.normalise.mail.mail import parse_mail, unread_mail
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.reply_token import message_id, token_of
from services.policy.model.automatic import AutomaticKind

_SECRET = "a secret of the account"
_OURS = message_id("c-1", "0123456789abcdef0123", _SECRET, "demo.example")


def parsed(raw: bytes, envelope: str = "a@b.example") -> IncomingMessage:
    """Parse a mail to the account of demo.example."""
    return parse_mail(raw, envelope, "support@demo.example", lambda each: token_of(each, _SECRET), "demo.example")


def mail(**headers: str) -> bytes:
    """Return an ordinary mail with additional headers."""
    made = EmailMessage()
    made["From"] = headers.pop("From", "Ali <a@b.example>")
    made["Message-ID"] = headers.pop("Message_ID", "<1@b.example>")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("hello there, how are you")
    return made.as_bytes()


def report(action: str = "failed", original: str = _OURS) -> bytes:
    """Return a delivery report (RFC 3464) about one of our mails."""
    return f"""From: MAILER-DAEMON@mx.example\r
Subject: Undelivered Mail Returned to Sender\r
Auto-Submitted: auto-replied\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
I'm sorry to have to inform you\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example\r
\r
Final-Recipient: rfc822; Gone@B.example\r
Action: {action}\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 <gone@b.example>: user unknown\r
--b\r
Content-Type: message/rfc822\r
\r
Message-ID: {original}\r
Subject: Re: order\r
\r
text\r
--b--\r
""".encode()


@pytest.mark.parametrize(
    ("headers", "kind", "sign"),
    [
        ({"Auto_Submitted": "auto-replied"}, AutomaticKind.AUTO_REPLY, "auto_replied"),
        ({"X_Autoreply": "yes"}, AutomaticKind.AUTO_REPLY, "x_autoreply"),
        ({"Precedence": "auto_reply"}, AutomaticKind.AUTO_REPLY, "precedence"),
        ({"Precedence": "bulk"}, AutomaticKind.NEWSLETTER, "precedence"),
        ({"List_Unsubscribe": "<mailto:x@y>"}, AutomaticKind.NEWSLETTER, "list_unsubscribe"),
        ({"Auto_Submitted": "auto-generated"}, AutomaticKind.NEWSLETTER, "auto_generated"),
        ({"List_Post": "<mailto:x@y>"}, AutomaticKind.LIST, "list_post"),
        ({"X_Failed_Recipients": "a@b"}, AutomaticKind.BOUNCE, "x_failed_recipients"),
        ({"X_Spam_Flag": "YES"}, AutomaticKind.SPAM_SUSPECT, "x_spam_flag"),
        ({"X_Loop": "support@demo.example"}, AutomaticKind.OWN, "own_loop"),
        ({"Message_ID": _OURS}, AutomaticKind.OWN, "own_message_id"),
        ({"X_Loop": "us"}, AutomaticKind.NONE, "x_loop"),
        ({"X_Auto_Response_Suppress": "All"}, AutomaticKind.NONE, "suppressed"),
        ({"From": "support@demo.example"}, AutomaticKind.NONE, "own_address"),
    ],
)
def test_each_sign_alone(headers: dict[str, str], kind: AutomaticKind, sign: str) -> None:
    """A sign decides the kind and is reported; no such mail gets an acknowledgement."""
    automatic = parsed(mail(**headers)).automatic
    assert automatic.kind is kind
    assert sign in automatic.evidence
    assert automatic.silent


@pytest.mark.parametrize(
    "headers",
    [{}, {"Auto_Submitted": "no"}, {"X_Spam_Status": "No, score=-1"}, {"Subject": "Out of office hours?"}],
)
def test_people_get_an_acknowledgement(headers: dict[str, str]) -> None:
    """A person's mail has no sign, even if its subject has words of an absence note."""
    automatic = parsed(mail(**headers)).automatic
    assert (automatic.kind, automatic.evidence) == (AutomaticKind.NONE, ())


@pytest.mark.parametrize("envelope", ["", "<>", " <> "])
def test_the_null_return_path_is_recognised_in_every_form(envelope: str) -> None:
    """aiosmtpd passes "<>": such a mail gets no acknowledgement, and its brackets are never an identity."""
    assert "null_return_path" in parsed(mail(), envelope).automatic.evidence
    answer = parsed(mail(In_Reply_To="<2@demo.example>"), envelope).automatic
    assert answer.kind is AutomaticKind.AUTO_REPLY
    assert parsed(b"Subject: x\r\n\r\nhi\r\n", envelope).native_id == "unknown@invalid"
    assert unread_mail(b"x", envelope, "support@demo.example").native_id == "unknown@invalid"


def test_an_acknowledgement_goes_to_the_envelope_sender_only() -> None:
    """A mail whose From is another address gets none: From may name a victim."""
    automatic = parsed(mail(From="victim@innocent.example"), "spammer@bad.example").automatic
    assert (automatic.kind, automatic.evidence) == (AutomaticKind.NONE, ("other_envelope",))
    assert not parsed(mail(), "<A@B.example>").automatic.silent


def test_an_absence_note_needs_a_second_sign() -> None:
    """Exchange marks its out-of-office notes only as generated; the subject makes the difference."""
    subject = "پاسخ خودکار: سفارش ۱۲"
    assert parsed(mail(Subject=subject)).automatic.kind is AutomaticKind.NONE
    generated = parsed(mail(Subject=subject, Auto_Submitted="auto-generated")).automatic
    assert (generated.kind, generated.evidence) == (AutomaticKind.AUTO_REPLY, ("away_subject",))
    assert parsed(mail(Subject="Re: " + subject, In_Reply_To="<2@x>")).automatic.kind is AutomaticKind.NONE


@pytest.mark.parametrize(
    "headers",
    [
        {"Subject": "عدم حضور: درخواست جابه‌جایی وقت", "In_Reply_To": "<2@x>"},
        {"Subject": "On holiday from Monday", "In_Reply_To": "<2@x>", "X_Auto_Response_Suppress": "All"},
        {"Subject": "Automatic response is wrong", "In_Reply_To": "<2@x>"},
        {"Subject": "On holiday from Monday", "Auto_Submitted": "auto-generated", "Reply_To": "alice@a.example"},
    ],
)
def test_persons_write_about_absence(headers: dict[str, str]) -> None:
    """In answers, above text that asks for something, and in the subject of a form: an interaction opens."""
    assert parsed(mail(**headers)).automatic.kind is AutomaticKind.NONE


def test_a_newsletter_about_holidays_is_a_newsletter() -> None:
    """`Precedence: bulk` makes words about absence a note only if no other header is bulk mail's."""
    subject = "Away from home? Ten ideas"
    bulk = mail(Subject=subject, Precedence="bulk", List_Unsubscribe="<https://x.example/u>")
    assert parsed(bulk).automatic.kind is AutomaticKind.NEWSLETTER
    assert parsed(mail(Subject=subject, Precedence="bulk")).automatic.kind is AutomaticKind.AUTO_REPLY


_ERROR = "Each mail to sales@demo.example was rejected: 550 5.1.1 user unknown"


@pytest.mark.parametrize("local", ["postmaster", "root", "administrator", "system"])
def test_an_administrator_may_quote_an_error(local: str) -> None:
    """Only what a program writes makes such an address a mail system: not the words, and not an error in them."""
    written = f"From: {local}@b.example\r\nSubject: Undeliverable: our order\r\n%s\r\n{_ERROR}\r\n"
    envelope = f"{local}@b.example"
    assert parsed((written % "").encode(), envelope).automatic.kind is AutomaticKind.NONE
    assert parsed((written % "").encode(), "<>").automatic.kind is AutomaticKind.BOUNCE
    generated = (written % "Auto-Submitted: auto-generated\r\n").encode()
    assert parsed(generated, envelope).automatic.kind is AutomaticKind.BOUNCE
    answer = (written % "In-Reply-To: <2@x>\r\n").replace("Undeliverable: our", "our").encode()
    assert parsed(answer, envelope).automatic.kind is AutomaticKind.NONE


def test_our_mail_in_a_mail_with_the_null_return_path_came_back() -> None:
    """Whatever words a server uses: it returned a mail and wants no answer."""
    returned = report().replace(b"multipart/report; report-type=delivery-status", b"multipart/mixed")
    returned = returned.replace(b"MAILER-DAEMON@mx.example", b"gateway@mx.example").replace(b"auto-replied", b"no")
    returned = returned.replace(b"Undelivered Mail Returned to Sender", b"Virhe")
    assert parsed(returned, "<>").automatic.evidence[0] == "returned_mail"
    assert parsed(returned, "gateway@mx.example").automatic.kind is AutomaticKind.NONE


def test_a_closed_mailbox_answers_automatically() -> None:
    """An automatic reply that speaks of an address that does not exist is not a report of a mail system."""
    written = f"%sSubject: moved\r\nAuto-Submitted: auto-replied\r\n\r\n{_ERROR}\r\n"
    assert parsed((written % "From: a@b.example\r\n").encode(), "<>").automatic.kind is AutomaticKind.AUTO_REPLY
    assert parsed((written % "From: postmaster@b.example\r\n").encode(), "<>").automatic.kind is AutomaticKind.BOUNCE


@pytest.mark.parametrize("name", ["X-SG-EID", "X-Mailgun-Tag", "List-Unsubscribe"])
def test_a_relay_of_bulk_mail_carries_answers_too(name: str) -> None:
    """Relays mark each mail that they send: in an answer the mark proves nothing."""
    assert parsed(mail(**{name: "x"})).automatic.kind is AutomaticKind.NEWSLETTER
    assert parsed(mail(**{name: "x"}, In_Reply_To="<2@x>")).automatic.kind is AutomaticKind.NONE


def test_a_list_with_our_address_carries_mail_to_us() -> None:
    """A group whose address is ours only passes the customer's mail on."""
    ours = {"List_Id": "<support.demo.example>", "List_Post": "<mailto:support@demo.example>", "Precedence": "list"}
    assert parsed(mail(**ours)).automatic.kind is AutomaticKind.NONE
    other = {"List_Id": "<buyers.demo.example>", "List_Post": "<mailto:buyers@demo.example>", "Precedence": "list"}
    assert parsed(mail(**other)).automatic.kind is AutomaticKind.LIST


@pytest.mark.parametrize(
    ("headers", "spam"),
    [
        ({"X_Bogosity": "Spam, tests=bogofilter"}, True),
        ({"X_Bogosity": "Ham, tests=bogofilter"}, False),
        ({"X_Spamd_Result": "default: True [22.10 / 15.00]"}, True),
        ({"X_Spamd_Result": "default: False [1.20 / 15.00]"}, False),
        ({"X_Rspamd_Action": "no action"}, False),
        ({"X_Host9_MailScanner_SpamCheck": "spam, SpamAssassin"}, True),
        ({"X_Host9_MailScanner_SpamCheck": "not spam, SpamAssassin"}, False),
        ({"X_Proofpoint_Spam_Details": "rule=notspam policy=default score=0"}, False),
        ({"Subject": "[SPAM] cheap loans"}, True),
        ({"Subject": "[SPAM] your answer", "In_Reply_To": "<2@x>"}, False),
        ({"Subject": "spam from your shop"}, False),
    ],
)
def test_verdicts_of_filters(headers: dict[str, str], spam: bool) -> None:
    """A verdict counts, a score does not, and an answer only repeats our subject."""
    found = parsed(mail(**headers)).automatic.kind
    assert (found is AutomaticKind.SPAM_SUSPECT) is spam


def test_a_form_is_written_by_a_person() -> None:
    """A generated mail that asks for answers at another address opens an interaction and gets no acknowledgement."""
    form = mail(
        From="form@shop.example", Reply_To="alice@a.example", Auto_Submitted="auto-generated", Precedence="bulk"
    )
    automatic = parsed(form, "www-data@shop.example").automatic
    assert automatic.kind is AutomaticKind.NONE
    assert automatic.silent


def test_a_delivery_report_names_the_delivery_that_failed() -> None:
    """The Message-ID of our mail gives the conversation and the delivery; the report gives address, status and reason."""
    message = parsed(report(), "<>")
    assert message.automatic.kind is AutomaticKind.BOUNCE
    bounce = message.automatic.bounce
    assert bounce is not None
    assert (bounce.recipient, bounce.status, bounce.failed) == ("gone@b.example", "5.1.1", True)
    assert bounce.reason == "550 5.1.1 <gone@b.example>: user unknown"
    assert (bounce.conversation_id, bounce.delivery) == ("c-1", "0123456789ab")
    assert message.labels["in_reply_to_conversation"] == "c-1"


def test_a_report_about_a_foreign_mail_names_no_delivery() -> None:
    """A forged Message-ID of ours without the right MAC ties the bounce to nothing."""
    forged = "<chapar.c-1.00000000000000000000.0123456789ab@demo.example>"
    bounce = parsed(report(original=forged), "<>").automatic.bounce
    assert bounce is not None
    assert (bounce.conversation_id, bounce.delivery) == ("", "")


def test_a_delay_is_not_a_failure() -> None:
    """The other server still tries."""
    bounce = parsed(report("delayed"), "<>").automatic.bounce
    assert bounce is not None
    assert not bounce.failed


@pytest.mark.parametrize(
    ("headers", "text", "recipient", "status"),
    [
        (
            "From: MAILER-DAEMON@a.example\r\nSubject: failure notice\r\n",
            "Hi. This is the qmail-send program at a.example.\r\n\r\n<gone@b.example>:\r\n"
            "192.0.2.1 does not like recipient.\r\nRemote host said: 550 5.1.1 no such user\r\n",
            "gone@b.example",
            "5.1.1",
        ),
        (
            "From: Mail Delivery System <Mailer-Daemon@a.example>\r\nX-Failed-Recipients: gone@b.example\r\n",
            "  gone@b.example\r\n    host mx.b.example [192.0.2.1]\r\n    550 mailbox full\r\n",
            "gone@b.example",
            "5.0.0",
        ),
    ],
)
def test_reports_that_only_people_can_read(headers: str, text: str, recipient: str, status: str) -> None:
    """qmail and Exim write no part for machines."""
    bounce = parsed((headers + "\r\n" + text).encode(), "<>").automatic.bounce
    assert bounce is not None
    assert (bounce.recipient, bounce.status) == (recipient, status)
    assert status[:1] in bounce.reason
