"""Refusals of authenticated callers, counted so that a flood of them does not flood the audit log. Pure.

For each caller, method and reason, the first refusal in a window is recorded at once. Later refusals are counted, and their
number is recorded when the window ends. A group (the callers of one tenant, or the services that name their tenant per call)
has at most `MOST_OF_A_GROUP` windows at a time; refusals above this limit are counted by reason alone, without caller and
method.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WINDOW_MS: Final = 60_000
MOST_OF_A_GROUP: Final = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """A caller, method and reason, counted together. `method` has no leading slash. Above the limit, caller and method are empty."""

    tenant: str
    subject: str
    agent_id: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Refusals that were counted and are not recorded yet. `last_ms`: the time of the last one, in ms."""

    group: str
    refusal: Refusal
    count: int
    last_ms: int


@dataclass(slots=True)
class _Window:
    began_ms: int
    pending: int
    last_ms: int


class RefusalWindows:
    """Count refusals by the rules at the head of the module. Memory is bounded by the number of groups."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Refusal, _Window]] = {}

    def note(self, group: str, refusal: Refusal, now_ms: int) -> Refusal | None:
        """Count a refusal. Return the refusal to record at once, if any."""
        windows = self._groups.setdefault(group, {})
        if refusal not in windows and len(windows) >= MOST_OF_A_GROUP:
            refusal = Refusal(group, "", "", "", refusal.reason)
        window = windows.get(refusal)
        if window is None:
            windows[refusal] = _Window(now_ms, 0, now_ms)
            return refusal
        window.pending += 1
        window.last_ms = now_ms
        return None

    def give_back(self, counted: Counted) -> None:
        """Add refusals back that could not be recorded."""
        windows = self._groups.setdefault(counted.group, {})
        window = windows.setdefault(counted.refusal, _Window(counted.last_ms, 0, counted.last_ms))
        window.pending += counted.count

    def due(self, now_ms: int, *, all_windows: bool = False) -> list[Counted]:
        """Return the counts of windows that have ended, or of all windows, and restart these windows from zero."""
        return [each for group in list(self._groups) for each in self._due_of(group, now_ms, all_windows=all_windows)]

    def _due_of(self, group: str, now_ms: int, *, all_windows: bool) -> Iterator[Counted]:
        windows = self._groups[group]
        for refusal, window in list(windows.items()):
            if not all_windows and now_ms - window.began_ms < WINDOW_MS:
                continue
            if window.pending:
                yield Counted(group, refusal, window.pending, window.last_ms)
                window.began_ms, window.pending = now_ms, 0
            else:
                del windows[refusal]
        if not windows:
            del self._groups[group]
