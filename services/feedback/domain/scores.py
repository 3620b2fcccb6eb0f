"""The fold of invitations and answers into histograms, exact although each record may come more than once.

A fold is kept per dimension and per partition of the input. It remembers the offset after the last record that it has
taken in: records of one partition come in order, so whatever is below that offset is in already, and a repetition
changes nothing. A dimension's total is the sum over partitions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from services.feedback.domain.survey import Kind, Subject

_EMPTY: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Dimension:
    """What scores are grouped by. `day` is ISO 8601, empty for all time."""

    tenant: str
    kind: Kind
    name: str
    value: str = ""
    day: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """An invitation (`score` None) or a counted answer."""

    tenant: str
    kind: Kind
    subject: Subject
    day: str
    score: int | None = None

    def dimensions(self) -> list[Dimension]:
        """Every dimension that it counts in: all, channel, queue and agent, over all time and its day."""
        groups = [("all", ""), ("channel", self.subject.channel), ("queue", self.subject.queue)]
        if self.subject.agent_id:
            groups.append(("agent", self.subject.agent_id))
        days = ("", self.day) if self.day else ("",)
        return [Dimension(self.tenant, self.kind, name, value, day) for name, value in groups for day in days]


@dataclass(frozen=True, slots=True)
class Fold:
    """What one partition says about one dimension. `next_offset`: everything below is folded in."""

    histogram: Mapping[int, int] = field(default_factory=lambda: _EMPTY)
    invited: int = 0
    next_offset: int = 0

    def take(self, observation: Observation, offset: int) -> "Fold":
        """With this record folded in, or itself when it was before."""
        if offset < self.next_offset:
            return self
        if observation.score is None:
            return replace(self, invited=self.invited + 1, next_offset=offset + 1)
        histogram = dict(self.histogram)
        histogram[observation.score] = histogram.get(observation.score, 0) + 1
        return replace(self, histogram=histogram, next_offset=offset + 1)

    @property
    def answered(self) -> int:
        """Answers counted."""
        return sum(self.histogram.values())


def total(folds: Iterable[Fold]) -> Fold:
    """The sum over partitions; its `next_offset` means nothing."""
    histogram: dict[int, int] = {}
    invited = 0
    for fold in folds:
        invited += fold.invited
        for score, count in fold.histogram.items():
            histogram[score] = histogram.get(score, 0) + count
    return Fold(histogram, invited)
