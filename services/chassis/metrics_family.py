"""One metric and its series: label sets of its own up to a bound, and one that all further label sets share.

The first label of a metric by tenant (`MetricSpec.by_tenant`) is always given, and shown only if the settings say so
(`metrics.tenants`). A caller cannot forget it, and need not know whether it is shown.
"""

from typing import Final, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from services.chassis.logs import get_logger

OTHER: Final = "other"
"""The value of each label of the series that label sets without one of their own share."""
_T = TypeVar("_T", Counter, Gauge, Histogram)


class UnknownMetric(KeyError):  # noqa: N818 - reads as what happened
    """A name, a kind or a set of labels that was not declared."""

    def __str__(self) -> str:
        return str(self.args[0])


class Family(Generic[_T]):
    """One metric and its children."""

    def __init__(self, metric: _T, names: tuple[str, ...], most: int, *, hidden: int = 0) -> None:
        """`names`: the labels that callers give. `most`: label sets with series of their own. `hidden`: the number of
        labels, counted from the first, that are given and not shown."""
        self._metric: _T = metric
        self._names = names
        self._most = most
        self._hidden = hidden
        self._full = False
        self._children: dict[tuple[str, ...], _T] = {}

    def labels(self, *values: str, **named: str) -> _T:
        """Return the child with these label values, in the declared order or by name."""
        if named:
            if values or set(named) != set(self._names):
                raise UnknownMetric(f"{self._metric._name} has the labels {self._names}, not {tuple(named)}")
            values = tuple(named[name] for name in self._names)
        child = self._children.get(values[self._hidden :])
        if child is None:
            child = self.child(self.series(*values))
        return child

    def series(self, *values: str) -> tuple[str, ...]:
        """Return the label values of the series that shows this label set: its own ones, or `other` if there is no room."""
        if len(values) != len(self._names):
            raise UnknownMetric(f"{self._metric._name} has {len(self._names)} labels: {self._names}")
        shown = values[self._hidden :]
        if shown in self._children or len(self._children) < self._most:
            return shown
        # If a label has too many values, only its detail is lost, not the scrape.
        self._warn()
        return (OTHER,) * len(shown)

    def child(self, shown: tuple[str, ...]) -> _T:
        """Return the child of a series that `series` has named."""
        child = self._children.get(shown)
        if child is None:
            child = self._children[shown] = self._metric.labels(*shown) if shown else self._metric
        return child

    def _warn(self) -> None:
        if not self._full:
            self._full = True
            get_logger(__name__).warning(
                "a metric has its most series", metric=self._metric._name, label_sets=self._most
            )

    def remove(self, *shown: str) -> None:
        """Remove a series, such as that of a partition that is no longer ours. Unknown ones are not an error."""
        if self._children.pop(shown, None) is not None and shown:
            self._metric.remove(*shown)
