"""A clock that does not follow the machine's clock when that is wrong.

Three sources say what time it is: the machine's clock, the brokers, and this process's own monotonic clock since the others agreed:

    machine and brokers agree                    the machine's time
    brokers agree with the past, machine not     the machine's clock has stepped: go on by the monotonic clock
    machine agrees with the past, brokers not    a broker's clock has stepped: the machine's time
    all three differ                             go on by the monotonic clock until two agree
    no past (this process has just started)      the earlier of the two, unless a lane has committed later times

"Agree" means within the bound. So a wrong clock is refused while it is wrong, and heals by itself: the time never leaps ahead, and there
is no future from which it would have to come back.

A broker's time is learned from every record that a lane writes to its changelog, whose topic has the time of append: it lies between the
instants of the request and of the response. Without such records only steps are noticed, and a step that lasts is taken for a correction.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.chassis.clock import Clock

Monotonic = Callable[[], float]
"""Returns milliseconds since any instant. It never steps."""

_RENEWED_MS: Final = 60_000
"""A measure that is less exact than the last one counts only after this time."""
_STEADY_MS: Final = 50
"""A reading during which the process was interrupted for longer is repeated."""
_READINGS: Final = 3
_gettime = time.clock_gettime  # read several times for each request: every look-up of a name counts
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SLEW: Final = 0.001
"""Two clocks that are corrected without a step drift apart by less than this."""
LASTING_MS: Final = 300_000
"""Without a broker's time, a step of the machine's clock that lasts this long is taken for a correction."""


def steady_clock() -> float:
    """Return milliseconds that also pass while the machine sleeps, where the system has such a clock."""
    return _gettime(_CLOCK) * 1_000


class Refused(StrEnum):
    """Which clocks are refused. The values are labels of a metric."""

    NONE = "none"
    MACHINE = "machine"
    BROKER = "broker"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a broker's clock was ahead of the monotonic one, at least and at most, in milliseconds."""

    low: float
    high: float
    taken: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def near(self, offset: float, bound: float) -> bool:
        """Whether a clock with this offset may differ from the broker's by the bound at most."""
        return self.low - bound <= offset <= self.high + bound


class BoundedClock:
    """A `Clock`. `refused` says which source is refused now."""

    def __init__(
        self,
        machine: Clock,
        *,
        bound_ms: int,
        steady: Monotonic = steady_clock,
        on_refused: Callable[[Refused, Refused, float], None] = lambda _now, _before, _lead: None,
    ) -> None:
        """`on_refused`: called when `refused` has changed, with its values now and before, and with how far the machine's clock is ahead of
        the time that counts, in ms."""
        self.refused = Refused.NONE
        self._machine = machine
        self._bound = float(bound_ms)
        self._half = self._bound / 2
        self._steady = steady
        self._on_refused = on_refused
        self._brokers: dict[int, _Measure] = {}
        self._agreed: float | None = None  # the brokers' offset while machine and brokers agreed; neither can drag it
        self._agreed_at = 0.0
        self._floor: float | None = None
        self._usual: _Measure | None = None
        offset, _ = self._read()
        self._kept = offset  # of the time that was returned last
        self._stepped_at: float | None = None

    def __call__(self) -> int:
        usual = self._usual
        if usual is not None:  # the short way for clocks that agree, as they nearly always do
            before = self._steady()
            machine = self._machine()
            now = self._steady()
            offset = machine - now
            half = self._half
            if usual.low - half <= offset <= usual.high + half and now - before < _STEADY_MS:
                self._kept = offset
                self._agree(usual, offset, now)
                return machine
        return self._judged()

    def _judged(self) -> int:
        offset, now = self._read()
        refused = self._judge(offset, now)
        if refused is not self.refused:
            before, self.refused = self.refused, refused
            self._on_refused(refused, before, offset - self._kept)
        self._note_usual()
        return round(now + self._kept)

    @property
    def lead_ms(self) -> float | None:
        """How far the machine's clock is ahead of the brokers', in milliseconds; None while no broker's time is known."""
        offset, _ = self._read()
        measure = self._reference(offset)
        if measure is None:
            return None
        return offset - min(max(offset, measure.low), measure.high)

    @property
    def steady_ms(self) -> float:
        """The monotonic clock, for `appended`."""
        return self._steady()

    def appended(self, broker: int, at_ms: int, sent: float, received: float) -> None:
        """Note that a broker appended a record at `at_ms` of its clock, between two instants of `steady_ms`."""
        found = _Measure(at_ms - received, at_ms - sent, received)
        known = self._brokers.get(broker)
        if (
            known is not None
            and found.high - found.low > known.high - known.low
            and found.low <= known.high
            and known.low <= found.high
            and received - known.taken < _RENEWED_MS
        ):
            return
        self._brokers[broker] = found
        self._note_usual()

    def committed(self, at_ms: int) -> None:
        """Note a time that a lane has committed, by whichever process: no clock that is further back is right."""
        floor = at_ms - self._steady()
        self._floor = floor if self._floor is None else max(self._floor, floor)

    # -- internal methods

    def _note_usual(self) -> None:
        """Note the measure with which the machine's clock surely agrees, if it is not further away than half a bound."""
        agree = self.refused is Refused.NONE and self._agreed is not None
        self._usual = self._reference(self._kept) if agree else None

    def _read(self) -> tuple[float, float]:
        """Return the machine's offset to the monotonic clock, and the monotonic clock."""
        for _ in range(_READINGS):
            before = self._steady()
            machine = self._machine()
            now = self._steady()
            if now - before < _STEADY_MS:
                break
        return machine - now, now

    def _reference(self, offset: float) -> _Measure | None:
        """Return the measure in the middle of the brokers'; of two, the nearer one to the machine's."""
        measures = sorted(self._brokers.values(), key=lambda measure: measure.middle)
        if not measures:
            return None
        middle = measures[(len(measures) - 1) // 2 : len(measures) // 2 + 1]
        return min(middle, key=lambda measure: abs(measure.middle - offset))

    def _judge(self, offset: float, now: float) -> Refused:
        broker = self._reference(offset)
        if broker is None:
            return self._alone(offset, now)
        self._stepped_at = None
        bound, past = self._bound, self._agreed
        if broker.near(offset, bound):
            self._agree(broker, offset, now)
            self._kept = offset
            return Refused.NONE
        if past is None:
            return self._first(offset, broker)
        if broker.near(past, bound):
            if abs(self._kept - past) > bound:
                self._kept = past
            return Refused.MACHINE
        if abs(offset - past) <= bound:
            self._kept = offset
            return Refused.BROKER
        return Refused.BOTH

    def _agree(self, broker: _Measure, offset: float, now: float) -> None:
        """Note that machine and broker agree. The past follows them no faster than a clock may be slewed."""
        wanted = broker.low if offset < broker.low else broker.high if offset > broker.high else offset
        if self._agreed is None:
            self._agreed = wanted
        else:
            most = _SLEW * (now - self._agreed_at)
            self._agreed += min(max(wanted - self._agreed, -most), most)
        self._agreed_at = now

    def _first(self, offset: float, broker: _Measure) -> Refused:
        """Choose between machine and broker without a past."""
        earlier, later = sorted((offset, broker.middle))
        floor = self._floor
        self._kept = later if floor is not None and earlier < floor - self._bound else earlier
        return Refused.BROKER if self._kept == offset else Refused.MACHINE

    def _alone(self, offset: float, now: float) -> Refused:
        """Judge by the monotonic clock alone."""
        if abs(offset - self._kept) > self._bound:
            if self._stepped_at is None:
                self._stepped_at = now
            if now - self._stepped_at < LASTING_MS:
                return Refused.MACHINE
        self._stepped_at = None
        self._kept = offset
        return Refused.NONE
