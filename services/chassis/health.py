"""Whether this process is alive, started and ready: one state, reported by gRPC health, HTTP probes and a metric.

- **Live**: the event loop runs. Whether the broker can be reached does not count: restarting a process does not repair a broker.
- **Started**: wiring is complete and every component has been ready once (a lane has restored its state).
- **Ready**: started, every component ready now, and not draining.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

EVERY_PARTITION: Final = -1
"""In place of a partition's number: the lane joins no group, because it would refuse each partition."""


@dataclass(slots=True)
class Component:
    """One part of a process that must be ready. A component begins as not ready."""

    name: str
    _changed: Callable[[], None]
    ready: bool = False
    reason: str = "starting"
    was_ready: bool = False
    degraded: str = ""
    """What does not work although the component may be ready: one partition of several, for example."""
    blocked: str = ""
    """Why it does not work although it may have been ready: only an operator can change that."""
    ready_while_restoring: bool = False
    """Whether the component remains ready when it restores again, because the rest of the process works without it."""

    def set(self, ready: bool, reason: str = "") -> None:
        """Set the state; `reason` shows operators why it is not ready."""
        if (ready, reason) == (self.ready, self.reason):
            return
        self.ready, self.reason = ready, reason
        self.was_ready = self.was_ready or ready
        self._changed()

    def set_refused(self, reasons: Mapping[int, str]) -> None:
        """Set the partitions that a lane refuses to take over, and why. A lane that refuses has started: a restart would not help."""
        self.was_ready = self.was_ready or bool(reasons)
        self.degraded = "; ".join(
            f"{'every partition' if number == EVERY_PARTITION else f'partition {number}'} is refused: {why}"
            for number, why in sorted(reasons.items())
        )
        self._changed()

    def set_hanging(self, sentences: Mapping[int, str]) -> None:
        """Set the partitions that a transaction without an end holds back. Any of them makes the lane not ready; it has started, as in
        `set_refused`."""
        self.was_ready = self.was_ready or bool(sentences)
        self.blocked = "; ".join(said for _, said in sorted(sentences.items()))
        self._changed()

    def set_restored(self, restored: bool) -> None:
        """Set the state of a part that is ready once it has restored its state, such as a lane."""
        self.set(restored or (self.ready_while_restoring and self.was_ready), "" if restored else "restoring")


@dataclass(slots=True)
class Health:
    """The health of one process."""

    _components: dict[str, Component] = field(default_factory=dict)
    _listeners: list[Callable[[bool], None]] = field(default_factory=list)
    _told: bool = False
    wired: bool = False
    draining: bool = False

    def component(self, name: str, *, ready_while_restoring: bool = False) -> Component:
        """Return the component of this name; a new one is not ready. See `Component.ready_while_restoring`."""
        if name not in self._components:
            self._components[name] = Component(name, self._tell, ready_while_restoring=ready_while_restoring)
            self._tell()
        return self._components[name]

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(ready)` now and whenever readiness changes."""
        self._listeners.append(listener)
        listener(self.ready)

    def set_wired(self) -> None:
        """Record that wiring is complete."""
        self.wired = True
        self._tell()

    def set_draining(self) -> None:
        """Accept no more work. This is final."""
        self.draining = True
        self._tell()

    @property
    def started(self) -> bool:
        """Return whether wiring is complete and each component has been ready once."""
        return self.wired and all(component.was_ready for component in self._components.values())

    @property
    def ready(self) -> bool:
        """Return whether the process accepts work."""
        return self.wired and not self.draining and all(c.ready and not c.blocked for c in self._components.values())

    def reasons(self) -> dict[str, str]:
        """Return why it is not ready, by component; empty when it is ready."""
        found = {
            c.name: c.blocked or c.degraded or c.reason or "not ready"
            for c in self._components.values()
            if c.blocked or not c.ready
        }
        if not self.wired:
            found["process"] = "starting"
        if self.draining:
            found["process"] = "draining"
        return found

    def degraded(self) -> dict[str, str]:
        """Return what does not work, by component, also while the process is ready."""
        return {c.name: c.degraded for c in self._components.values() if c.degraded}

    def _tell(self) -> None:
        ready = self.ready
        if ready != self._told:
            self._told = ready
            for listener in self._listeners:
                listener(ready)
