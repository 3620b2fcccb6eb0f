"""Durations as people read them."""


def duration(ms: float) -> str:
    """Format a duration for people: 340 ms, 12.5 s, 3 min 20 s, 2 h 5 min."""
    if ms < 0:
        return "unknown"
    if ms < 1_000:
        return f"{ms:.0f} ms"
    seconds = ms / 1_000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
