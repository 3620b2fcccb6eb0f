"""What insight remembers of an open interaction, whether a policy covers it or not: for measures and for forecasts."""

from dataclasses import dataclass

from services.sla.domain.policy import Target


@dataclass(frozen=True, slots=True)
class Sample:
    """A forecast that was made, and what it was made from. It is learned from when the promise is decided."""

    target: Target
    epoch: int
    x: bytes
    """Features, packed."""
    forecast: float


@dataclass(slots=True)
class Story:
    """One interaction. Rebuilt from the changelog as it is. Times are milliseconds since the epoch."""

    interaction_id: str
    tenant: str
    queue: str
    channel: str
    arrived_ms: int
    queued_first_ms: int
    queued_ms: int
    """When it was queued last: what was announced counts from here."""
    p50_ms: int = -1
    p90_ms: int = -1
    last_epoch: int = 0
    awaiting_ms: int = 0
    """The customer's first message that nobody has answered; 0 while he is awaited."""
    answered: bool = False
    held: bool = False
    """An agent has it."""
    picked_up: bool = False
    closed_ms: int = 0
    completed: bool = False
    """It was completed, though it may have been taken up again."""
    over: bool = False
    """It was abandoned or cancelled: it is never taken up again."""
    samples: tuple[Sample, ...] = ()
    """In the order in which they were made."""
    told: tuple[tuple[Target, int], ...] = ()
    """Promises (with epoch) that were predicted to break: told once each."""
    counted: str = ""
    """Queue under which the newest forecasts are counted."""

    def of(self, target: Target, epoch: int) -> tuple[Sample, ...]:
        """Forecasts about one promise."""
        return tuple([s for s in self.samples if s.target is target and s.epoch == epoch])

    def newest(self) -> dict[Target, float]:
        """The newest forecast about each promise."""
        return {sample.target: sample.forecast for sample in self.samples}
