"""How a failure is shown in a log: its type and its place, not its text, which may hold what the record holds."""

import traceback


def shown(error: BaseException) -> str:
    """For example `KeyError at translate_lanes.py:120`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
