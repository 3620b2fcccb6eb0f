"""Where a part of a mail ends: to the byte, because an attachment that was not encoded is kept as it is."""

import pytest

from services.ingest.domain.normalise.mail.headers import split
from services.ingest.domain.normalise.mail.mime import leaves


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("body", [b"abc", b"abc\r\n", b"", b"-- \nAli", b"--other"])
def test_the_line_break_before_a_delimiter_belongs_to_the_delimiter(end: bytes, body: bytes) -> None:
    """RFC 2046, 5.1.1. Further line breaks, and lines that only look like a delimiter, are the part's own."""
    lines = (
        b"Content-Type: multipart/mixed; boundary=b0",
        b"",
        b"--b0",
        b"Content-Type: text/plain",
        b"",
        body,
        b"--b0--",
        b"",
    )
    headers, rest = split(end.join(lines))
    (part,), cut = leaves(headers, rest)
    assert part.body == body
    assert not cut


def test_a_part_without_an_end_ends_with_the_mail() -> None:
    headers, rest = split(b"Content-Type: multipart/mixed; boundary=b0\n\n--b0\n\nabc\n--b0\n\nde")
    parts, _ = leaves(headers, rest)
    assert [part.body for part in parts] == [b"abc", b"de"]
