"""The bytes between DATA and the line with a single dot, as they arrive: counted, bounded, kept once.

Only CR LF ends a line here, so what another server takes for the end of a mail is never taken for it halfway. A mail that is refused is still
read to its end, because only then the sending server listens; its bytes are not kept.
"""

from typing import Final

_END: Final = b"\r\n.\r\n"


class Collector:
    """One mail. `refusal` is empty while it may be taken."""

    def __init__(self, most_bytes: int, most_line: int) -> None:
        self._most = most_bytes
        self._most_line = most_line
        self._kept = bytearray()
        # The first line may be the dot already.
        self._tail = _END[:2]
        self._line = 0
        self.refusal = ""
        self.seen = 0

    @property
    def kept(self) -> int:
        """Bytes that are held."""
        return len(self._kept)

    def refuse(self, why: str) -> None:
        """Keeps nothing from now on."""
        self.refusal = self.refusal or why
        self._kept = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """Takes what came; what follows the end, or None while there is none."""
        window = self._tail + data
        found = window.find(_END)
        used = len(data) if found < 0 else found + len(_END) - len(self._tail)
        piece = data[:used]
        self.seen += used
        self._measure(piece)
        if self.seen > self._most + 3:  # the dot and its line end are not the mail
            self.refuse("TOO_LARGE")
        if not self.refusal:
            self._kept += piece
        if found < 0:
            self._tail = window[-4:]
            return None
        if not self.refusal:
            del self._kept[-3:]
        return data[used:]

    def mail(self) -> bytes:
        """The mail, dots restored. Once: nothing is kept afterwards."""
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
            self.refuse("LINE_TOO_LONG")
