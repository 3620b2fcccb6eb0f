"""A mail's text in parts: new, quoted and forwarded text, signatures, disclaimers."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.domain.messages import TextPartKind, new_text
from services.ingest.domain.normalise.mail.mail import read_mail
from services.ingest.domain.normalise.mail.readable import Readable, readable
from tests.fixtures.labelled_mails import HELD_OUT, LabelledMail, labelled_mails
from tests.hostile.pace import faults_of
from tests.hostile.registry import BY_NAME

GOAL = 0.95
PIECES = (
    "> ", ">", "On Mon, Nov 23, 2026 at 10:22 AM A <a@b.example> wrote:", "در تاریخ ۲ آذر ۱۴۰۵ ساعت ۱۰:۲۲ علی <a@b.example> نوشت:",
    "From: A <a@b.example>", "Sent: Monday", "Subject: x", "از: علی", "موضوع: سلام", "-----Original Message-----", "-- ", "Thanks",
    "Ali Rezaei", "با احترام", "Sent from my iPhone", "Tel: +98 21 1234", "This e-mail is confidential", "hello there", "سلام", "\u200f", "",
    "---------- Forwarded message ---------", "_" * 40, "> 5 kg",
)  # fmt: skip
_TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=40).map("\n".join)


def split(mail: LabelledMail) -> Readable:
    return readable(read_mail(mail.raw, "customer@mail.example", "support@shop.example").text, mail.subject)


def test_the_labelled_mails_are_enough() -> None:
    """There are at least 150 mails of our own, 40 of them held out, with different names."""
    mails = labelled_mails()
    assert len(mails) >= 150
    assert sum(mail.group.startswith(HELD_OUT) for mail in mails) >= 40
    assert len({mail.name for mail in mails}) == len(mails)


@pytest.mark.parametrize("held_out", [False, True])
def test_the_new_text_is_what_a_reader_would_name(held_out: bool) -> None:
    """The new text is exactly the expected one for at least 95 % of the mails."""
    mails = [mail for mail in labelled_mails() if mail.group.startswith(HELD_OUT) == held_out]
    missed = [mail.name for mail in mails if split(mail).new != mail.new]
    assert len(missed) <= (1 - GOAL) * len(mails), missed


def test_parts_are_the_text() -> None:
    """The parts of a labelled mail, joined, are its text, and neighbours differ in kind."""
    for mail in labelled_mails():
        text = read_mail(mail.raw, "customer@mail.example", "support@shop.example").text
        parts = readable(text, mail.subject).parts
        assert "".join(part.text for part in parts) == text
        assert all(one.kind is not other.kind for one, other in pairwise(parts))


@given(_TEXTS, st.sampled_from(("", "Fwd: x", "سلام")))
@settings(max_examples=150)
def test_nothing_is_deleted(text: str, subject: str) -> None:
    """The parts of any text, joined, are the text; none is empty; the new text is made of the new parts."""
    found = readable(text, subject)
    assert new_text(text, found.folds) in (found.new, text)
    assert "".join(part.text for part in found.parts) == text
    assert all(part.text for part in found.parts)
    new = "".join(part.text for part in found.parts if part.kind is TextPartKind.NEW)
    assert "".join(found.new.split()) == "".join(new.split())


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_text_without_signs_is_new(text: str) -> None:
    """A text without a colon, a mark, a dash or a break has nothing to fold."""
    plain = "hello " + "".join(each for each in text if each.isalnum() or each == " ")
    assert readable(plain).new == plain.strip()


@pytest.mark.parametrize("piece", PIECES)
def test_work_is_linear(piece: str) -> None:
    """A text of one kind of line costs work in proportion to its length."""
    entry = BY_NAME["services.ingest.domain.normalise.mail.readable.readable"]
    assert faults_of(entry, piece, lambda size: (piece + "\n") * (size // (4 * len(piece) + 4)), 256 << 10) == []


def test_the_kinds_of_parts() -> None:
    """Each kind of part is named."""
    text = (
        "Cancel it.\n\nBest regards\nAnn Lee\n\nThis e-mail is confidential.\n\n"
        "On Mon, Nov 23, 2026 at 10:22 AM A <a@b.example> wrote:\n> Yes?\n"
    )
    kinds = [part.kind for part in readable(text).parts]
    assert kinds == [TextPartKind.NEW, TextPartKind.SIGNATURE, TextPartKind.DISCLAIMER, TextPartKind.QUOTED]


def test_a_forwarded_mail_is_folded_under_a_comment_only() -> None:
    """Without a comment the forwarded mail is what the customer says."""
    forwarded = "---------- Forwarded message ---------\nFrom: A <a@b.example>\nSubject: x\n\nThe gate is B12.\n"
    assert [part.kind for part in readable("Is it true?\n\n" + forwarded).parts] == [
        TextPartKind.NEW,
        TextPartKind.FORWARDED,
    ]
    assert [part.kind for part in readable(forwarded).parts] == [TextPartKind.NEW]


def test_a_quote_alone_has_no_new_text() -> None:
    """A mail that only quotes says nothing new, and the quote remains."""
    found = readable("> Shall we?\n> Yes?\n")
    assert (found.new, [part.kind for part in found.parts]) == ("", [TextPartKind.QUOTED])
