"""The scenario format. These classes are its only source: for the reader, the JSON Schema (`deploy/config/scenarios/schema.json`) and its limits.

Times are written with units and held in milliseconds. Lists over time (rates, staffing, patience by period) start again when they end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from services.router.simulation.distributions import Duration, LongerThanNothing, Patience, Share, Strict, Time

MOST_AGENTS: Final = 10_000
MOST_CUSTOMERS: Final = 2_000_000
MOST_PERIODS: Final = 20_000
_DEEPEST: Final = 3

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\s/][^/]*$")]
Text = Annotated[str, Field(max_length=200)]
Level = Annotated[float, Field(ge=0, le=1000)]


class Step(Strict):
    """From this time on, a requirement has another number."""

    after: Duration
    number: float


class Selector(Strict):
    """One requirement on the agent, as in a tenant's configuration; with `any_of` or `all_of` a group of them."""

    attribute: Text = ""
    operator: Literal["equal", "not_equal", "less", "at_most", "greater", "at_least", "in", "has"] = "at_least"
    number: float = 0.0
    text: Text = ""
    texts: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list)
    expires_after: Duration = 0.0
    weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    steps: Annotated[list[Step], Field(max_length=50)] = Field(default_factory=list)
    any_of: Annotated[list[Selector], Field(max_length=50)] = Field(default_factory=list)
    all_of: Annotated[list[Selector], Field(max_length=50)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_or_a_group(self) -> Selector:
        if sum((bool(self.attribute), bool(self.any_of), bool(self.all_of))) != 1:
            raise ValueError("needs one of `attribute`, `any_of` and `all_of`")
        if self.depth() > _DEEPEST:
            raise ValueError(f"is a group more than {_DEEPEST} levels deep")
        return self

    def depth(self) -> int:
        """Return the levels of groups in it."""
        members = (*self.any_of, *self.all_of)
        return 1 + max(member.depth() for member in members) if members else 0


class Busyness(Strict):
    """How much busier than planned it may be: gamma factors with mean 1, whose `cv` is standard deviation over mean."""

    day_cv: Annotated[float, Field(ge=0, le=5)] = 0.0
    """One factor for each 24 hours."""
    period_cv: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Another factor for each period."""


class Arrivals(Strict):
    """Poisson arrivals. Either `every` (mean gap, the same all the time) or `rates` (expected number in each period)."""

    every: LongerThanNothing | None = None
    rates: (
        Annotated[list[Annotated[float, Field(ge=0, le=1e7)]], Field(min_length=1, max_length=MOST_PERIODS)] | None
    ) = None
    busyness: Busyness = Busyness()

    @model_validator(mode="after")
    def _one_of_two(self) -> Arrivals:
        if (self.every is None) == (self.rates is None):
            raise ValueError("needs either `every` or `rates`")
        return self


class Retrials(Strict):
    """Customers who left, or found no waiting place, may come again."""

    share: Share
    """Share of the customers who could come again."""
    delay: Time
    most: Annotated[int, Field(ge=1, le=20)] = 3
    """Most attempts after the first."""
    same_patience: bool = False
    """Whether a customer is as patient in each attempt as in the first. Otherwise patience is drawn for each attempt."""


class PatienceFrom(Strict):
    """Patience of customers who arrive after a time of the scenario (it repeats with the list: see `patience_by_period`)."""

    periods: Annotated[int, Field(ge=1, le=MOST_PERIODS)] = 1
    """Number of periods for which it holds."""
    patience: Patience


class HandlingFrom(Strict):
    """Handling of customers who arrive after a time of the scenario (it repeats with the list: see `handling_by_period`)."""

    periods: Annotated[int, Field(ge=1, le=MOST_PERIODS)] = 1
    """Number of periods for which it holds."""
    handling: Time


class InteractionType(Strict):
    """Interactions with the same requirements."""

    queue: Text = ""
    """Empty: a queue with the type's own name."""
    channel: Text = "voice"
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    language: Text = ""
    labels: dict[Text, Text] = Field(default_factory=dict)
    requirements: Annotated[list[Selector], Field(max_length=50)] = Field(default_factory=list)
    arrivals: Arrivals | None = None
    """Absent: only those of the scenario's `arrivals_file`."""
    handling: Time | None = None
    """Absent: as recorded in the `arrivals_file`."""
    handling_by_period: Annotated[list[HandlingFrom], Field(max_length=MOST_PERIODS)] = Field(default_factory=list)
    """Instead of `handling`, by the period of the customer's first arrival."""
    handling_by_group: dict[Name, Time] = Field(default_factory=dict)
    """Instead of both, for agents of a group."""
    patience: Patience | None = None
    """Absent: as recorded; without a record all customers wait for ever."""
    patience_by_period: Annotated[list[PatienceFrom], Field(max_length=MOST_PERIODS)] = Field(default_factory=list)
    retrials: Retrials | None = None
    waiting_places: Annotated[int, Field(ge=0, le=MOST_CUSTOMERS)] | None = None
    """A customer who would have to wait and finds this number of the type waiting is turned away. Absent: no limit."""
    lines: Annotated[int, Field(ge=0, le=MOST_CUSTOMERS)] | None = None
    """A customer who finds this number of the type waiting or served is turned away, although an agent may be free. Absent: no limit."""
    service_level: LongerThanNothing | None = None
    """Threshold; absent: the queue's, which is 20s unless the policy says otherwise."""
    short_abandon: Duration | None = None
    """A customer who leaves before this time counts as a short abandon; absent: the threshold of the service level."""


class Answering(Strict):
    """How agents answer offers. Without it they accept at once."""

    delay: Time | None = None
    """From the offer to the answer; longer than the offer is open means no answer."""
    decline: Share = 0.0
    retry_after: Duration = 0.0
    """After a decline the agent may be asked again about the same interaction; 0: not until the agent signs in again."""
    ignore: Share = 0.0
    """Share of offers that the agent does not answer: the engine then marks the agent as not responding."""
    back_after: LongerThanNothing = 60_000.0
    """Time after which the agent becomes available again."""


class Shift(Strict):
    """Agents who come at `start` and leave at `end`, counted from the beginning of the scenario."""

    start: Duration
    end: LongerThanNothing
    agents: Annotated[int, Field(ge=0, le=MOST_AGENTS)]

    @model_validator(mode="after")
    def _ordered(self) -> Shift:
        if self.end <= self.start:
            raise ValueError("`end` must be after `start`")
        return self


AtShiftEnd = Literal["finish", "hand_over_resume", "hand_over_restart"]


class Group(Strict):
    """Agents with the same properties. `agents`: a number for all the time, or a number for each period; or `shifts`."""

    agents: (
        Annotated[int, Field(ge=0, le=MOST_AGENTS)]
        | Annotated[list[Annotated[int, Field(ge=0, le=MOST_AGENTS)]], Field(min_length=1, max_length=MOST_PERIODS)]
        | None
    ) = None
    shifts: Annotated[list[Shift], Field(min_length=1, max_length=1000)] | None = None
    skills: dict[Text, Level] = Field(default_factory=dict)
    team: Text = ""
    queues: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list)
    """Empty: every queue."""
    prefers: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)
    """Types that they take, most preferred first; empty: any, with the lowest preference. It decides which free agent gets an interaction."""
    capacity: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Interactions at the same time; absent: by `capacity_profile`, or one."""
    capacity_profile: Text = ""
    """A capacity profile of the policy."""
    at_shift_end: AtShiftEnd = "finish"
    """Open interactions at a shift's end: finish them; or hand them over to the queue, where they continue for their remaining time, or restart."""
    answering: Answering | None = None
    cost_per_hour: Annotated[float, Field(ge=0, le=1e9)] = 0.0

    @model_validator(mode="after")
    def _one_staffing(self) -> Group:
        if (self.agents is None) == (self.shifts is None):
            raise ValueError("needs either `agents` or `shifts`")
        if self.capacity is not None and self.capacity_profile:
            raise ValueError("has either `capacity` or `capacity_profile`")
        return self


class Scenario(Strict):
    """A what-if question."""

    name: Text = ""
    duration: LongerThanNothing
    """Customers arrive for this time; customers who are present at the end are served to the end."""
    warm_up: Duration = 0.0
    """Customers who arrive before this time are not counted."""
    period: LongerThanNothing = 1_800_000.0
    """Length of the periods in `rates`, `agents` and in the results by period."""
    start: (
        Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$")] | None
    ) = None
    """The time at which it begins, for recorded arrivals: 2025-03-01T08:00+03:30; absent: that of the first of them."""
    replications: Annotated[int, Field(ge=1, le=10_000)] = 20
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    busyness: Busyness = Busyness()
    """Factors that all types have in common."""
    waiting_places: Annotated[int, Field(ge=0, le=MOST_CUSTOMERS)] | None = None
    """The same as a type's own, for all types together."""
    lines: Annotated[int, Field(ge=0, le=MOST_CUSTOMERS)] | None = None
    """Trunk lines: the same as a type's own, for all types together."""
    policy: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    """A tenant's configuration whose queues and capacity profiles apply; a path relative to this file."""
    pool: Name = "default"
    """The pool of the policy to use."""
    queues: Annotated[list[dict[str, Any]], Field(max_length=200)] | None = None
    """Instead of a policy: queues as in a configuration."""
    capacity_profiles: Annotated[list[dict[str, Any]], Field(max_length=200)] | None = None
    """With `queues`: capacity profiles as in a configuration."""
    arrivals_file: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    """Recorded arrivals (CSV or JSON lines; `chapar simulate record` writes them); a path relative to this file."""
    types: Annotated[dict[Name, InteractionType], Field(max_length=100)] = Field(default_factory=dict)
    groups: Annotated[dict[Name, Group], Field(max_length=200)] = Field(default_factory=dict)
    """Absent: the policy's own agents, all the time."""

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        if not self.types and self.arrivals_file is None:
            raise ValueError("needs `types` or an `arrivals_file`")
        for name, kind in self.types.items():
            if name == "all" or name.startswith("group "):
                raise ValueError(f"has a type called `{name}`: results use that name themselves")
            if kind.arrivals is None and self.arrivals_file is None:
                raise ValueError(f"has no `arrivals` for the type `{name}`")
            if kind.handling is not None and kind.handling_by_period:
                raise ValueError(f"has both `handling` and `handling_by_period` for the type `{name}`")
            if kind.arrivals is not None and kind.handling is None and not kind.handling_by_period:
                raise ValueError(f"has no `handling` for the type `{name}`")
        if self.warm_up >= self.duration:
            raise ValueError("`warm_up` must be less than `duration`")
        if self.duration / self.period > MOST_PERIODS:
            raise ValueError(f"has more than {MOST_PERIODS:,} periods: use a longer `period`")
        if self.policy is not None and (self.queues is not None or self.capacity_profiles is not None):
            raise ValueError("has either a `policy` or `queues` of its own")
        if self.groups and sum(peak(group) for group in self.groups.values()) > MOST_AGENTS:
            raise ValueError(f"has more than {MOST_AGENTS:,} agents")
        expected = sum(expected_arrivals(self, kind) for kind in self.types.values())
        if expected > MOST_CUSTOMERS:
            raise ValueError(f"expects {expected:,.0f} customers in a replication; at most {MOST_CUSTOMERS:,}")
        return self


def peak(group: Group) -> int:
    """Return the most agents on duty at the same time; for shifts, all of them."""
    if group.shifts is not None:
        return sum(shift.agents for shift in group.shifts)
    assert group.agents is not None  # the model's own rule
    return group.agents if isinstance(group.agents, int) else max(group.agents)


def expected_arrivals(scenario: Scenario, kind: InteractionType) -> float:
    """Return the expected first attempts of a type in the whole scenario, without those of a file."""
    if kind.arrivals is None:
        return 0.0
    if kind.arrivals.every is not None:
        return scenario.duration / kind.arrivals.every
    rates = kind.arrivals.rates or []
    periods = scenario.duration / scenario.period
    whole, part = divmod(periods, len(rates))
    upto = int(part)
    rest = sum(rates[:upto]) + (rates[upto] * (part - upto) if upto < len(rates) else 0.0)
    return whole * sum(rates) + rest


def unknown_names(scenario: Scenario) -> Mapping[tuple[str, ...], str]:
    """Return names that do not exist, with an error, by their place."""
    wrong: dict[tuple[str, ...], str] = {}
    for name, kind in scenario.types.items():
        for group in kind.handling_by_group:
            if group not in scenario.groups:
                wrong["types", name, "handling_by_group", group] = _not_one_of(group, "group", scenario.groups)
    for name, group_ in scenario.groups.items():
        for number, liked in enumerate(group_.prefers):
            if liked not in scenario.types:
                wrong["groups", name, "prefers", str(number)] = _not_one_of(liked, "type", scenario.types)
    return wrong


def _not_one_of(name: str, what: str, known: Mapping[str, object]) -> str:
    return f"`{name}` is not a {what} of this scenario; there are {', '.join(known) or 'none'}"
