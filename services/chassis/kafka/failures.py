"""Shows a failure in a log by its type and place, not by its text, which may contain data of the record."""

import traceback


def shown(error: BaseException) -> str:
    """Return for example `KeyError at lanes.py:120`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
