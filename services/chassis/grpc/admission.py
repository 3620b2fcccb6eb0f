"""Slots for calls in progress: decides which callers may begin another call. Pure: no clock, no I/O.

There is a budget for each kind of call. A caller (one subject of one tenant) holds at most the budget's `per_caller`
slots. A tenant may take another slot only while it holds fewer than are free: the dynamic threshold by which switches
share their memory (Choudhury and Hahne, 1998), so that one tenant alone gets half. The last quarter of a budget is for
tenants that hold less than a sixty-fourth of it: when two greedy tenants have taken the rest, sixteen more tenants are
still served at once.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.request_bytes import RequestBytes

_RETRY_AFTER_S = 1.0
_RESERVED = 4  # this part of a budget is for modest tenants
_MODEST = 64  # who hold less than this part


class CallKind(StrEnum):
    """The kind of a call: it has a budget of its own."""

    CALL = "call"
    WATCH = "watch"
    SESSION = "session"

    @classmethod
    def of(cls, *, request_streaming: bool, response_streaming: bool) -> "CallKind":
        """Return the kind of a method, by which sides stream."""
        if request_streaming:
            return cls.SESSION
        return cls.WATCH if response_streaming else cls.CALL


class SlotGauge(Protocol):
    """A metric of the slots in use."""

    def inc(self) -> None:
        """Count one slot more."""

    def dec(self) -> None:
        """Count one slot less."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The number of slots in total, and the most of one caller."""

    total: int
    per_caller: int


@dataclass(frozen=True, slots=True)
class CallerKey:
    """The caller whose slots are counted together."""

    tenant: str
    subject: str


class Slots:
    """The slots of one budget. Keeps entries only for callers that hold a slot."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._tenants: Counter[str] = Counter()
        self._callers: Counter[CallerKey] = Counter()
        self._reserve = budget.total // _RESERVED
        self._modest = max(1, budget.total // _MODEST)
        self.taken = 0

    def refusal(self, who: CallerKey) -> str:
        """Return why the caller gets no slot now; empty when a slot is free for them."""
        if self._callers[who] >= self._budget.per_caller:
            return "CALLER"
        free = self._budget.total - self.taken
        if free <= 0:
            return "SERVER"
        held = self._tenants[who.tenant]
        most = free if free > self._reserve else min(free, self._modest)
        return "TENANT" if held >= most else ""

    def take(self, who: CallerKey) -> None:
        """Take a slot. Call `refusal` first."""
        self.taken += 1
        self._tenants[who.tenant] += 1
        self._callers[who] += 1

    def release(self, who: CallerKey) -> None:
        """Return a slot."""
        self.taken -= 1
        _less(self._tenants, who.tenant)
        _less(self._callers, who)

    @property
    def known(self) -> int:
        """Return the number of entries in memory."""
        return len(self._tenants) + len(self._callers)


class Admission:
    """The budgets of one server."""

    def __init__(self, budgets: Mapping[CallKind, Budget], request_bytes: int = 64 << 20) -> None:
        """`request_bytes`: the limit of all requests in progress together, in bytes."""
        self._slots = {kind: Slots(budget) for kind, budget in budgets.items()}
        self.bytes = RequestBytes(request_bytes)

    def enter(self, kind: CallKind, who: CallerKey) -> None:
        """Take a slot. Raises EXHAUSTED TOO_MANY_{CALLS, WATCHES, SESSIONS}_OF_{CALLER, TENANT, SERVER}."""
        slots = self._slots[kind]
        scope = slots.refusal(who)
        if scope:
            raise _too_many(kind, scope)
        slots.take(who)

    def leave(self, kind: CallKind, who: CallerKey) -> None:
        """Return the slot."""
        self._slots[kind].release(who)

    def taken(self, kind: CallKind) -> int:
        """Return the number of slots of a kind that are in use."""
        return self._slots[kind].taken


class HeldSlot:
    """The slot of one call. The first release returns it; later ones have no effect."""

    def __init__(self, admission: Admission, kind: CallKind, who: CallerKey, gauge: SlotGauge) -> None:
        """Take the slot, as `Admission.enter` does. `gauge` shows the slots of this kind that are in use."""
        admission.enter(kind, who)
        gauge.inc()
        self._admission, self._kind, self._who, self._gauge = admission, kind, who, gauge
        self._holds = True

    def release(self) -> None:
        """Return the slot, unless it has been returned already."""
        if self._holds:
            self._holds = False
            self._admission.leave(self._kind, self._who)
            self._gauge.dec()


_PLURAL = {CallKind.CALL: "CALLS", CallKind.WATCH: "WATCHES", CallKind.SESSION: "SESSIONS"}
_WHOSE = {"CALLER": "this caller", "TENANT": "this tenant", "SERVER": "this replica"}


def _too_many(kind: CallKind, scope: str) -> ChaparError:
    what = _PLURAL[kind]
    return ChaparError(
        ErrorKind.EXHAUSTED,
        f"TOO_MANY_{what}_OF_{scope}",
        f"{_WHOSE[scope]} has as many {what.lower()} in progress as it may have: end some, or try again later",
        retry_after_s=_RETRY_AFTER_S,
    )


def _less(counter: Counter[Any], key: Any) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
