"""Routing rules: conditions on a message, and the queue, priority, requirements and labels that follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from services.policy.model.automatic import AutomaticKind


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an agent must have; the contract's Selector. `operator` is the contract's number, 0 means at least."""

    attribute: str
    operator: int = 0
    number: float = 0.0
    text: str = ""
    texts: tuple[str, ...] = ()
    expires_after_ms: int = 0
    weight: float = 0.0
    steps: tuple[tuple[int, float], ...] = ()
    any_of: tuple["Requirement", ...] = ()
    all_of: tuple["Requirement", ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. An empty `when` always holds."""

    name: str
    when: str
    queue: str
    priority: int = 0
    requirements: tuple[Requirement, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class Verdict(Enum):
    """The result of a condition."""

    HOLDS = "HOLDS"
    DOES_NOT_HOLD = "DOES_NOT_HOLD"
    FAILED = "FAILED"


def always_open(_queue: str) -> bool:
    """Return true: the queue has no hours."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInput:
    """The data that conditions can read. The caller bounds `text`; `text_length` is the length of the whole text, in
    characters."""

    channel: str
    account: str
    language: str
    text: str
    text_length: int
    person: Mapping[str, str]
    labels: Mapping[str, str]
    public: bool
    automatic: AutomaticKind = AutomaticKind.NONE
    account_open: bool = True
    open: Callable[[str], bool] = always_open
    """Returns whether a queue is open now."""


class Condition(Protocol):
    """Evaluates conditions of one version of the configuration. Never raises."""

    def __call__(self, when: str, given: RuleInput) -> Verdict: ...
