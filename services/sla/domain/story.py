"""What analytics keep about an open interaction, whether a policy covers it or not: for measures and for forecasts."""

from dataclasses import dataclass

from services.policy.model.sla import Target


@dataclass(frozen=True, slots=True)
class Sample:
    """A forecast, and the features from which it was made. The model learns from it when the deadline is decided."""

    target: Target
    epoch: int
    x: bytes
    """Features, packed."""
    forecast: float


@dataclass(slots=True)
class Story:
    """History of one interaction. Restored from the changelog as it is. Times are milliseconds since the epoch."""

    interaction_id: str
    tenant: str
    queue: str
    channel: str
    arrived_ms: int
    queued_first_ms: int
    queued_ms: int
    """When it was last queued: the estimated wait time counts from here."""
    p50_ms: int = -1
    p90_ms: int = -1
    last_epoch: int = 0
    awaiting_ms: int = 0
    """Time of the customer's first message that no agent has answered; 0 while a reply from the customer is awaited."""
    answered: bool = False
    held: bool = False
    """An agent has the interaction."""
    picked_up: bool = False
    closed_ms: int = 0
    completed: bool = False
    """It was completed, though it may have been reopened since."""
    over: bool = False
    """It was abandoned or cancelled: it is never reopened."""
    samples: tuple[Sample, ...] = ()
    """In the order in which they were made."""
    reported: tuple[tuple[Target, int], ...] = ()
    """Deadlines (target and epoch) that were predicted to be breached. Each is reported once."""
    counted: str = ""
    """Queue under which the newest forecasts are counted."""

    def of(self, target: Target, epoch: int) -> tuple[Sample, ...]:
        """Return the forecasts about one deadline."""
        return tuple([s for s in self.samples if s.target is target and s.epoch == epoch])

    def newest(self) -> dict[Target, float]:
        """Return the newest forecast for each target."""
        return {sample.target: sample.forecast for sample in self.samples}
