"""Absence notes: each clause is one that notes consist of. One clause of another kind makes the text a person's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.normalise.mail.absence_notes import is_absence_note

_NOTES = (
    "I am out of the office until Monday with limited access to e-mail.",
    "Hello,\nI'm on vacation this week. I will answer your e-mail when I am back.",
    "Thank you for your message.\n\nI am on annual leave. For urgent matters please contact Dariush.\n\nKind regards",
    "با سلام و احترام\nاینجانب تا ۲۰ مرداد در مرخصی هستم و به ایمیل دسترسی ندارم.\nدر موارد ضروری با خانم کریمی تماس بگیرید.",
    "با سلام، تا پایان هفته در دسترس نیستم و ایمیل‌ها را نمی‌بینم.",
)
_OF_PERSONS = (
    "Please deliver order 5150 to my neighbour.",
    "The invoice is wrong, I want my money back.",
    "Cancel my order!",
    "Please call me.",
    "When do you open?",
    "سفارش ۵۱۵۰ را شنبه بفرستید.",
    "هنوز چیزی نرسیده است",
    "لطفا با من تماس بگیرید",
)


@pytest.mark.parametrize("text", _NOTES)
def test_notes(text: str) -> None:
    """Notes say that the writer is away, and what happens to mail or whom to ask."""
    assert is_absence_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I am away.",
        "I am on vacation",
        "In urgent cases call Dariush.",
        "I am on leave next week and you should cancel my order. I will answer on my return.",
        "Your mailbox says “I am out of the office until Monday”. In urgent cases call 021.",
        "تا جمعه در سفر هستم و به ایمیل دسترسی ندارم، سفارش را شنبه بفرستید.",
        "I am away until Monday. I will answer on my return?",
        "“I am on leave.” I will answer on my return.",
        "I am out of the office. I cannot read mail. " + "I cannot read mail. " * 100,
    ],
)
def test_texts_that_are_not_only_notes(text: str) -> None:
    """An absence alone, a request inside a sentence, a quoted note, and a long text are persons'."""
    assert not is_absence_note(text)


@given(st.sampled_from(_NOTES), st.sampled_from(_OF_PERSONS), st.booleans(), st.sampled_from(["\n", ". ", ", "]))
def test_one_sentence_of_a_person_makes_the_text_a_persons(note: str, said: str, first: bool, between: str) -> None:
    """Before or after the note, in a sentence of its own or in the same one."""
    assert not is_absence_note(said + between + note if first else note + between + said)


@given(st.sampled_from(_NOTES), st.text(max_size=40))
def test_spaces_and_forms_of_letters_change_nothing(note: str, other: str) -> None:
    """Arabic forms of Persian letters are the same letters; no text raises."""
    assert is_absence_note("\n" + note.replace("ی", "ي").replace("ک", "ك") + "\n\n")
    assert is_absence_note(other) in (True, False)
