"""The wait that a provider asks for."""

from typing import Final

_MOST_S: Final = 3_600.0


def milliseconds(seconds: object) -> int:
    """Return the wait that the provider asks for, bounded, because it comes from outside. 0 for anything that is not a
    number."""
    if isinstance(seconds, str):
        text = seconds.strip()
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            return 0
        seconds = int(text)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        return 0
    return int(min(float(seconds), _MOST_S) * 1000)
