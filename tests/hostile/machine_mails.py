"""Headers and bodies of mails as hostile bytes and text, for the functions that decide whether a machine wrote them."""

from services.ingest.domain.normalise.mail import (
    absence_notes,
    automatic,
    automatic_words,
    body,
    bounces,
    headers,
    mime,
)
from tests.hostile.entry import as_text


def mail_parts(raw: bytes) -> None:
    """Read headers and parts of a mail, decide its kind, and read it as a delivery report."""
    found, content = headers.split(raw)
    for name in ("from", "subject", "content-type"):
        found.text(name), found.word(name), found.raw(name), found.has(name)
    said = automatic.Body(as_text(content), as_text(content[:2_000]), {"message/rfc822"})
    automatic.classify(found, "a@b.example", "c@d.example", "multipart/report", "f@e.example", "e.example")
    automatic.classify(found, "", "postmaster@d.example", "text/plain", "f@e.example", "e.example", said)
    try:
        bounces.bounce_report(found, mime.leaves(found, content)[0])
        body.read(found, content)
    except mime.TooComplex:
        pass


def words_of_machines(given: str) -> None:
    """Look for the words of machines in a subject and a text."""
    for decide in (
        automatic_words.has_away_prefix,
        automatic_words.speaks_of_absence,
        automatic_words.is_bounce_subject,
        automatic_words.is_complaint_subject,
        automatic_words.quotes_a_server,
        automatic_words.plain,
    ):
        decide(given)
    automatic_words.reports_a_failure(given, given)
    automatic_words.reports_a_failure("", "undeliverable " + given)
    for size in (len(given), 1_000):
        absence_notes.is_absence_note(given[:size])
