"""What a fault is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.chaos.campaign.stage import USUAL, Processes, Scene

Strike = Callable[[Scene], Coroutine[None, None, None]]
"""Injects a fault, and returns when it has healed."""
NO_VARIABLES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. A fault with variables is prepared when the processes start."""

    name: str
    strike: Strike
    late_s: float = 12.0
    """How late timers may be: the longest outage that the fault causes, and the pace of a busy machine."""
    of_service: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: NO_VARIABLES)
    """Variables of the processes of each service; `{run}` is the directory of the run."""
    small_disk: bool = False
    """Whether the broker's data must be on a small file system of its own."""
    alone: bool = False
    """Whether the strike sees effects that another fault would spoil, so that it has no part in pairs."""
    processes: Processes = USUAL
    """The processes that must run."""
