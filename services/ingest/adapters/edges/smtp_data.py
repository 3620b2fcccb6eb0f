"""The bytes between DATA and the line with a single dot, as they arrive: counted, bounded, kept once.

Only CR LF ends a line here, so a sequence that another server takes for the end of a mail never ends it early here. A
refused mail is still read to its end, because only then does the sending server read the answer; its bytes are not
kept.
"""

from typing import Final

from services.ingest.domain.reasons import Reason

_END: Final = b"\r\n.\r\n"


class Collector:
    """Collects one mail. `refusal` is empty while the mail may be accepted."""

    def __init__(self, most_bytes: int, most_line: int) -> None:
        self._most = most_bytes
        self._most_line = most_line
        self._kept = bytearray()
        # The first line may already be the dot.
        self._tail = _END[:2]
        self._line = 0
        self.refusal = ""
        self.seen = 0

    @property
    def kept(self) -> int:
        """Return the number of bytes held."""
        return len(self._kept)

    def refuse(self, why: str) -> None:
        """Refuse the mail and keep no bytes from now on."""
        self.refusal = self.refusal or why
        self._kept = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """Add received bytes; return the bytes after the mail's end, or None before the end."""
        window = self._tail + data
        found = window.find(_END)
        used = len(data) if found < 0 else found + len(_END) - len(self._tail)
        piece = data[:used]
        self.seen += used
        self._measure(piece)
        if self.seen > self._most + 3:  # the dot and its line end are not part of the mail
            self.refuse(Reason.MESSAGE_TOO_LARGE)
        if not self.refusal:
            self._kept += piece
        if found < 0:
            self._tail = window[-4:]
            return None
        if not self.refusal:
            del self._kept[-3:]
        return data[used:]

    def mail(self) -> bytes:
        """Return the mail, with dots restored. Call it once: nothing is kept afterwards."""
        kept, self._kept = self._kept, bytearray()
        if kept.startswith(b"."):
            del kept[:1]
        raw = bytes(kept)
        del kept
        return raw.replace(b"\r\n.", b"\r\n") if b"\r\n." in raw else raw

    def _measure(self, piece: bytes) -> None:
        first = piece.find(b"\r\n")
        if first < 0:
            self._line += len(piece)
            longest = self._line
        else:
            longest = self._line + first
            self._line = len(piece) - piece.rfind(b"\r\n") - 2
        if longest > self._most_line:
            self.refuse(Reason.LINE_TOO_LONG)
