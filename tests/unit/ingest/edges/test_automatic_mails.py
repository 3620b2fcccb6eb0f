"""The share of automatic mails that get their kind, and the share of kinds that are right, over labelled header sets."""

import pytest

from services.policy.model.automatic import AutomaticKind
from tests.fixtures.automatic_mails import HELD_OUT, KNOWN, LabelledMail, figures, mails


@pytest.mark.parametrize(("files", "recall", "precision"), [(KNOWN, 0.99, 0.99), (HELD_OUT, 0.95, 0.92)])
def test_figures(files: tuple[str, ...], recall: float, precision: float) -> None:
    """A mail that gets no kind is safe: it opens an interaction. A wrong kind could hide a customer."""
    found = figures(mails(*files))
    assert found.recall >= recall, found.wrong
    assert found.precision >= precision, found.wrong


def test_no_mail_of_a_person_is_kept_from_the_agents() -> None:
    """No ordinary mail gets a kind that opens no interaction, and every kind is in the sets."""
    known = mails(*KNOWN)
    assert len(known) >= 500
    assert {mail.kind for mail in known} == set(AutomaticKind)
    persons = [mail for mail in known if mail.kind is AutomaticKind.NONE]
    assert [mail.name for mail in persons if not mail.found().opens] == []


def test_figures_count_misses_and_wrong_kinds() -> None:
    """One hit, one miss and one wrong kind."""
    hit, miss, wrong = (
        LabelledMail("a", AutomaticKind.LIST, "a@b.example", b"From: a@b.example\r\nList-Post: <x>\r\n\r\n"),
        LabelledMail("b", AutomaticKind.LIST, "a@b.example", b"From: a@b.example\r\n\r\n"),
        LabelledMail("c", AutomaticKind.NONE, "a@b.example", b"From: a@b.example\r\nList-Post: <x>\r\n\r\n"),
    )
    found = figures([hit, miss, wrong])
    assert (found.recall, found.precision) == (0.5, 0.5)
    assert found.wrong == ("b: LIST found as NONE", "c: NONE found as LIST")
