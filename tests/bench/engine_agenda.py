"""The schedule of actions in the engine's bench: a virtual clock, one random source, and the habits of customers and
agents."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any

from services.router.domain import commands as cmd
from tests.bench.engine_pool import gateway_of

Act = Callable[..., cmd.Command | None]
"""An action: returns the command that it makes, or None when there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Shares, and mean times in milliseconds. `open` > 0 holds the number of open interactions constant, otherwise the
    number of waiting ones is held constant.

    The defaults give about 75 completions and 600 commands a second of virtual time for 15,000 busy agents.
    """

    handle_ms: int = 700_000
    answer_ms: int = 3_000
    declined: float = 0.03
    unanswered: float = 0.01
    left: float = 0.10
    warned: float = 0.05
    rerouted: float = 0.01
    cancelled: float = 0.005
    regret_ms: int = 200_000
    """Time after its arrival within which an interaction is abandoned, warned about, rerouted or cancelled."""
    transferred: float = 0.03
    to_agent: float = 0.2
    """Share of the transfers that name an agent."""
    labelled: float = 0.04
    break_every_ms: int = 1_800_000
    break_ms: int = 60_000
    sign_out_every_ms: int = 7_200_000
    reconnect_every_ms: int = 3_600_000
    lost: float = 0.1
    """Share of the lost connections that do not return before lease and grace have ended."""
    credits_every_ms: int = 2_500_000
    trained_every_ms: int = 40_000_000
    open: int = 0


class Agenda:
    """The planned actions, by time."""

    def __init__(self, seed: int, now: int) -> None:
        self.rng = Random(seed)
        self.now = now
        self._heap: list[tuple[int, int, Act, tuple[Any, ...]]] = []
        self._planned = self._commands = 0

    def plan(self, after: int, act: Act, *args: Any) -> None:
        """Plan `act` to happen in `after` milliseconds."""
        self._planned += 1
        heappush(self._heap, (self.now + after, self._planned, act, args))

    def due(self, now: int) -> list[cmd.Command]:
        """Perform the actions planned until `now`."""
        self.now, made = now, list[cmd.Command]()
        while self._heap and self._heap[0][0] <= now:
            _, _, act, args = heappop(self._heap)
            command = act(*args)
            if command is not None:
                made.append(command)
        return made

    def command(self, kind: Callable[..., cmd.Command], *args: Any, **more: Any) -> cmd.Command:
        """Return a command with an id of its own, as long as a UUID; the answer goes to the first gateway unless
        another is given."""
        self._commands += 1
        more.setdefault("reply_to", gateway_of(0))
        return kind(*args, command_id=f"c0ffee00-0000-5000-9000-{self._commands:012}", **more)
