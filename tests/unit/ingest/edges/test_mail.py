"""Mail as a customer's message: which parts are read, which are kept, and which mails must never be answered by a machine."""

import time
from email.message import EmailMessage

import pytest

from services.ingest.domain.normalise.mail.html import to_text
from services.ingest.domain.normalise.mail.mail import parse_mail
from services.ingest.domain.normalise.message import IncomingMessage


def parsed(raw: bytes, envelope: str = "a@b.example", **more: object) -> IncomingMessage:
    """Parse a mail with default arguments."""
    return parse_mail(raw, envelope, "support@demo.example", lambda _: None)


def mail(**headers: str) -> bytes:
    """Return an ordinary mail with additional headers."""
    made = EmailMessage()
    made["From"] = "Ali <a@b.example>"
    made["Message-ID"] = "<1@b.example>"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("hello there, how are you")
    return made.as_bytes()


def test_plain_text_wins_over_html_and_attachments_are_described() -> None:
    """The text is the complete plain part with its quotation; the attachment has name, type, size and bytes."""
    made = EmailMessage()
    made["From"] = "a@b.example"
    made.set_content("پاسخ من\n\n> متن پیشین\n")
    made.add_alternative("<p>پاسخ <b>من</b></p>", subtype="html")
    made.add_attachment(b"%PDF-1.4" * 100, maintype="application", subtype="pdf", filename="فاکتور.pdf")
    message = parsed(made.as_bytes())
    assert message.text == "پاسخ من\n\n> متن پیشین"
    (file,) = message.attachments
    assert (file.content_type, file.name) == ("application/pdf", "فاکتور.pdf")
    assert (file.size, file.content) == (800, b"%PDF-1.4" * 100)


def test_html_alone_becomes_readable_text() -> None:
    """Blocks become lines, scripts and styles are not text, entities are decoded."""
    markup = "<style>p{}</style><p>سلام &amp; درود<br>خط دو</p><script>x()</script><p>three</p>"
    assert to_text(markup).split("\n\n") == ["سلام & درود\nخط دو", "three"]
    raw = b"From: a@b.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>one</p><p>two &lt;3</p>"
    assert parsed(raw).text.split() == ["one", "two", "<3"]


@pytest.mark.parametrize(
    "markup",
    ["<div>" * 60_000, "<" * 20_000, "<script>" * 10_000, "&amp" * 60_000, "<!--" * 20_000, "<a href='" * 100_000],
)
def test_hostile_html_takes_linear_time(markup: str) -> None:
    """A large mail is parsed before a person would notice (the bound is generous, for a busy machine)."""
    begun = time.process_time()
    to_text(markup)
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("charset", ["cp1256", "windows-1256", "CP-1256", "x-windows-1256", "WINDOWS-1256"])
def test_persian_in_an_old_code_page(charset: str) -> None:
    """cp1256 under all its names; Arabic yeh and kaf remain as they were written."""
    text = "سلام، مشكل من حل نشد. لطفا كمك كنيد"
    raw = f"From: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode() + text.encode("cp1256")
    assert parsed(raw).text == text


@pytest.mark.parametrize("charset", ["no-such-charset", "punycode", "unicode_escape", "zip", "", "utf-8"])
def test_a_wrong_charset_loses_no_mail(charset: str) -> None:
    """Unknown, dangerous or wrong labels: the text is guessed."""
    raw = (
        f"From: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
        + "سلام دوستان عزیز".encode()
    )
    assert parsed(raw).text == "سلام دوستان عزیز"


def test_an_answer_to_our_own_mail_names_its_conversation() -> None:
    """By the Message-IDs that it answers, the newest first."""
    known = {"<ours-1@x>": "c-1", "<ours-2@x>": "c-2"}
    raw = mail(In_Reply_To="<theirs@y>", References="<ours-1@x> <ours-2@x> <theirs@y>")
    message = parse_mail(raw, "a@b.example", "s@d.example", known.get)
    assert message.labels["in_reply_to_conversation"] == "c-2"
    assert message.in_reply_to == "<theirs@y>"
    assert message.reply_context["references"] == "<ours-1@x> <ours-2@x> <theirs@y>"


def test_an_ambiguous_from_is_not_trusted() -> None:
    """Two addresses: the envelope's sender is used, and the message says so."""
    for value in (b'"<evil@x.example>" <real@y.example>', b"a@x.example, b@y.example", b""):
        message = parsed(b"From: " + value + b"\r\n\r\nhi\r\n", envelope="env@z.example")
        assert message.native_id == "env@z.example"


def test_a_hundred_attachments_and_more() -> None:
    """Content beyond the bounds is cut and labelled, not lost."""
    parts = b"".join(b"--b\r\nContent-Type: image/png; name=p%d.png\r\n\r\nx\r\n" % n for n in range(150))
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
        + parts
        + b"--b--\r\n"
    )
    message = parsed(raw)
    assert message.text == "hello"
    assert len(message.attachments) == 99
    assert message.labels["parts_cut"] == "true"


def test_hostile_headers_take_linear_time() -> None:
    """Quotes, parentheses, angle brackets, semicolons, encoded words: each 20 KB to 1 MB."""
    begun = time.process_time()
    for piece in (b'"', b"(", b"<", b"@", b"=?a?q?", b"a@", b";", b"=?utf-8?b?", b"\\"):
        for size in (20_000, 200_000):
            filler = piece * (size // len(piece))
            parsed(b"From: " + filler + b"\r\nSubject: " + filler + b"\r\n\r\nx")
            parsed(
                b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b; "
                + filler
                + b"\r\n\r\n--b\r\nContent-Disposition: attachment; "
                + filler
                + b"\r\n\r\nx\r\n--b--\r\n"
            )
    assert time.process_time() - begun < 15.0
