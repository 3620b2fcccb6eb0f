"""Explains how a closed interaction was routed, from the decisions kept in history. The router itself knows only open interactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from chapar.ingest.v1 import ingest_pb2
from services.chassis.durations import duration

ENDED: Final = frozenset({"completed", "abandoned", "cancelled"})
_ROUTER: Final = "router"


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of the router."""

    at_ms: int
    kind: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Past:
    """The routing of a closed interaction. `reason`, `considered` and `decided_at_ms` describe the choice of the last agent who had it, or its
    end if no agent had it."""

    summary: str
    state: str
    agent_id: str
    reason: str
    considered: int
    decided_at_ms: int
    decisions: tuple[Decided, ...]

    @property
    def over(self) -> bool:
        """Whether history contains the interaction's end."""
        return self.state in ENDED


def past(view: ingest_pb2.InteractionView, story: Iterable[ingest_pb2.StoryEntry]) -> Past:
    """Summarise the story. `decisions` is empty when history has no decision of the router yet."""
    steps = [entry for entry in story if entry.service == _ROUTER]
    chosen = next((entry for entry in reversed(steps) if entry.kind == "InteractionOffered"), None)
    assigned = next((entry for entry in reversed(steps) if entry.kind == "InteractionAssigned"), None)
    deciding = (chosen or assigned) if assigned is not None else (steps[-1] if steps else None)
    return Past(
        _summary(view, assigned, chosen, steps[-1] if steps else None),
        view.state,
        assigned.details.get("agent", "") if assigned is not None else "",
        deciding.reason if deciding is not None else "",
        int(deciding.details.get("considered", "0")) if deciding is not None else 0,
        deciding.occurred_at.ToMilliseconds() if deciding is not None else 0,
        tuple(
            Decided(entry.occurred_at.ToMilliseconds(), entry.kind, entry.reason, _text(entry.kind, entry.details))
            for entry in steps
        ),
    )


def _summary(
    view: ingest_pb2.InteractionView,
    assigned: ingest_pb2.StoryEntry | None,
    chosen: ingest_pb2.StoryEntry | None,
    last: ingest_pb2.StoryEntry | None,
) -> str:
    if view.state not in ENDED:
        return f"Not open in this pool; its state in history is {view.state}. It may have just ended, or be in another pool (--pool)."
    if assigned is None:
        waited_ms = int(last.details.get("waited_ms", "0")) if last is not None else 0
        after = f" after {duration(waited_ms)}" if waited_ms else ""
        why = f" ({last.reason})" if last is not None and last.reason else ""
        return f"{view.state.capitalize()}{after} without an agent{why}."
    agent = assigned.details.get("agent", "")
    waited = duration(int(assigned.details.get("waited_ms", "0")))
    choice = f", chosen from {_counts(chosen.details)}" if chosen is not None and _counts(chosen.details) else ""
    return f"{view.state.capitalize()}; {agent} had it, {waited} after it was queued{choice}."


def _counts(details: Mapping[str, str]) -> str:
    eligible, considered = details.get("eligible", ""), details.get("considered", "")
    return f"{eligible} of {considered} agents who could take it" if eligible and considered else ""


def _text(kind: str, details: Mapping[str, str]) -> str:
    agent = details.get("agent", "")
    match kind:
        case "InteractionOffered":
            counts = _counts(details)
            return f"to {agent}{f', one of {counts}' if counts else ''}"
        case "InteractionAssigned":
            return f"to {agent} after {duration(int(details.get('waited_ms', '0')))}"
        case "InteractionTransferred":
            return f"by {details.get('from_agent', '')} to {details.get('to_agent') or details.get('queue', '')}"
        case "OfferDeclined" | "OfferExpired" | "OfferRevoked":
            return f"of {agent}"
    return ", ".join(f"{name} {value}" for name, value in sorted(details.items()))
