"""The words of a mail reach the agent, whatever parts they are in."""

import pytest

from services.ingest.domain.normalise.mail.html import to_text
from services.ingest.domain.normalise.mail.mail import read_mail
from services.ingest.domain.normalise.message import IncomingMessage, MessageKind

HEAD = "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: "


def read(*lines: str) -> IncomingMessage:
    return read_mail((HEAD + "\r\n".join(lines)).encode(), "a@b.example", "s@d.example")


def part(head: str, body: str, boundary: str = "b") -> str:
    return f"--{boundary}\r\nContent-Type: {head}\r\n\r\n{body}"


def test_a_text_with_a_name_is_read() -> None:
    """A text part with a name, or an inline HTML file, is what the customer wrote."""
    assert read('text/plain; name="body.txt"', "", "cancel it").text == "cancel it"
    inline = "text/html; charset=utf-8\r\nContent-Disposition: inline; filename=x.html"
    assert read(inline, "", "<p>cancel it</p>").text == "cancel it"
    mixed = read("multipart/mixed; boundary=b", "", part(inline, "<p>cancel it</p>"), part("image/png", "x"), "--b--")
    assert (mixed.text, len(mixed.attachments)) == ("cancel it", 1)


def test_a_text_file_beside_a_text_is_a_file() -> None:
    """A log file does not become part of the customer's text; as the only text it is shown, and it is named."""
    log = 'text/plain; name="log.txt"\r\nContent-Disposition: attachment; filename="log.txt"'
    both = read("multipart/mixed; boundary=b", "", part("text/plain", "see the log"), part(log, "line 1"), "--b--")
    assert (both.text, both.attachments[0].name) == ("see the log", "log.txt")
    alone = read("multipart/mixed; boundary=b", "", part(log, "line 1"), "--b--")
    assert (alone.text, alone.attachments[0].name) == ("line 1", "log.txt")


def test_both_texts_of_a_mixed_mail_are_read() -> None:
    """A gateway's note before the mail does not hide the mail."""
    note, words = part("text/plain", "[scanned by gateway]"), part("text/html", "<p>I want to cancel order 12</p>")
    assert read("multipart/mixed; boundary=b", "", note, words, "--b--").text == (
        "[scanned by gateway]\nI want to cancel order 12"
    )


@pytest.mark.parametrize(
    ("plain", "html", "text"),
    [
        ("cancel order 12", "<p>cancel order 12</p>", "cancel order 12"),
        ("", "<p>cancel order 12</p>", "cancel order 12"),
        ("Please use a program that shows HTML.", f"<p>{'word ' * 40}</p>", ("word " * 40).strip()),
        ("yes", "<p>yes</p><img src=logo.png>", "yes"),
    ],
)
def test_one_alternative_is_read(plain: str, html: str, text: str) -> None:
    """The plain text, unless it is empty or only a note."""
    parts = part("text/plain", plain), part("text/html", html)
    assert read("multipart/alternative; boundary=b", "", *parts, "--b--").text == text


def test_alternatives_within_a_mixed_mail() -> None:
    """Text after the alternatives is read too, as Apple's programs write it around a picture."""
    inner = part(
        "multipart/alternative; boundary=c",
        part("text/plain", "before", "c") + "\r\n" + part("text/html", "before", "c") + "\r\n--c--",
    )
    found = read(
        "multipart/mixed; boundary=b",
        "",
        inner,
        part("image/png; name=p.png", "x"),
        part("text/html", "after"),
        "--b--",
    )
    assert (found.text, found.attachments[0].name) == ("before\nafter", "p.png")


@pytest.mark.parametrize(
    "given", ["multipart/mixed; boundary=wrong", "multipart/mixed", 'multipart/alternative; boundary=""']
)
def test_a_wrong_boundary_hides_nothing(given: str) -> None:
    """The boundary that the body shows is used, and without one the body is a text."""
    assert read(given, "", part("text/plain", "cancel it"), "--b--").text == "cancel it"
    assert read(given, "", "just words").text == "just words"


def test_only_an_image() -> None:
    """A mail of one image opens an interaction: its text says what it is."""
    assert read("text/html", "", '<html><body><img src="cid:x"></body></html>').text == "[image]"
    assert read("text/html", "", '<img src="cid:x" alt="broken cup">').text == "[broken cup]"
    assert read("text/html", "", '<img src="http://t.example/p" width="1" height="1">').text == ""


def test_winmail_dat_is_named() -> None:
    """A mail with only Outlook's container names it."""
    found = read("multipart/mixed; boundary=b", "", part("application/ms-tnef", "x"), "--b--")
    assert (found.kind, found.attachments[0].name) == (MessageKind.ATTACHMENT, "winmail.dat")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>weight <5 kg, please cancel</p>", "weight <5 kg, please cancel"),
        ("a < b and c > d", "a < b and c > d"),
        ("mail <ali@x.example> me", "mail <ali@x.example> me"),
        ('<a href="https://x.example/1">here</a>', "here <https://x.example/1>"),
        ('<a href="https://x.example/">x.example</a>', "x.example"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="javascript:x()">here</a>', "here"),
        ('<a href="https://evil.example">bank.example</a>', "bank.example <https://evil.example>"),
        ('<img alt="a > b" src=x>c', "[a > b]c"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<ul><li>one<ul><li>in</li></ul></li><li>two</li></ul>", "- one\n\n- in\n\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td></td><td>c</td></tr></table>", "a\tb\nc"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>c", "> a\n>\n>> b\n\nc"),
        ('<span style="display: none">x</span>y', "y"),
        ('<div style="mso-hide:all">x<div>z</div></div>y', "y"),
        ('<td style="font-size:0"><div style="font-size:13px">y</div></td>', "y"),
        ('<div style="display:none">all of it</div>', "all of it"),
        ('<div style="display:none">no end', "no end"),
        ('<div style="opacity:0.9">seen</div>', "seen"),
        ("<style>p {}</style>x", "x"),
        ("<style>no end", "no end"),
        ("<!-- x -->y<!-- no end", "y<!-- no end"),
        ("<![CDATA[x]]>y", "y"),
    ],
)
def test_html_as_a_reader_sees_it(markup: str, text: str) -> None:
    """Links have targets, images their texts, lists their marks; hidden text is left out, but never all of the text."""
    assert to_text(markup) == text
