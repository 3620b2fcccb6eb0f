"""The bytes of a mail between DATA and the dot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.adapters.edges.smtp_data import Collector

_LINES = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda line: line.replace(b"\r\n", b"")),
        st.sampled_from([b".", b"..", b".\n.", b"\r", b""]),
    ),
    max_size=20,
)


def stuffed(lines: list[bytes]) -> bytes:
    """Encode a mail as a sending server does."""
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)


@given(_LINES, st.binary(max_size=20), st.integers(1, 7))
def test_a_mail_arrives_as_it_was_sent_however_it_is_cut(lines: list[bytes], after: bytes, size: int) -> None:
    """Dots are restored and bytes after the end are left for the next command, in pieces of any size."""
    # A line that ends in CR would merge with the line's end.
    lines = [line.rstrip(b"\r") for line in lines]
    data = stuffed(lines) + b".\r\n" + after
    collector = Collector(10_000, 10_000)
    rest: bytes | None = None
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        if rest is not None:
            rest += piece
        else:
            rest = collector.feed(piece)
    assert rest == after
    assert collector.refusal == ""
    assert collector.mail() == b"".join(line + b"\r\n" for line in lines)
    assert collector.kept == 0


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n..\r\n", b"\r\n. \r\n"])
def test_nothing_else_is_the_end(end: bytes) -> None:
    """Sequences that other servers may accept as the end."""
    assert Collector(10_000, 10_000).feed(b"Subject: x\r\n\r\nhello" + end) is None


def test_bounds() -> None:
    """The bounds of a mail and of a line are exact; and the end is still found when no bytes are kept."""
    for text, refusal in (
        (b"x" * 98 + b"\r\n", ""),
        (b"x" * 99 + b"\r\n", "MESSAGE_TOO_LARGE"),
        (b"x" * 51 + b"\r\n", "LINE_TOO_LONG"),
        (b"x" * 50 + b"\r\n", ""),
    ):
        collector = Collector(100, 50 if b"x" * 52 not in text else 100)
        assert collector.feed(text) is None
        assert collector.feed(b".\r\nQUIT\r\n") == b"QUIT\r\n"
        assert collector.refusal == refusal, len(text)
        assert collector.kept <= 100
    endless = Collector(1000, 50)
    for _ in range(100):
        assert endless.feed(b"x" * 10) is None
    assert (endless.refusal, endless.kept) == ("LINE_TOO_LONG", 0)
