"""Routing rules: the first rule whose condition holds decides.

A condition that fails at run time does not hold. The failure is counted and the next rule is evaluated, because one bad
expression must not stop a tenant's customers. When no rule holds, the tenant's first queue gets the interaction with
the reason NO_RULE_MATCHED, so that no customer is dropped. An adapter evaluates conditions (CEL); the core sees only a
verdict.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from services.chassis.privacy.labels import OWN_LABELS

NO_RULE_MATCHED: Final = "NO_RULE_MATCHED"
RULE_MATCHED: Final = "RULE_MATCHED"


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


class Condition(Protocol):
    """Evaluates conditions of one version of the configuration. Never raises."""

    def __call__(self, when: str, given: RuleInput) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The queue of an interaction, and the reason. `failed` names the rules whose condition failed or whose queue is
    unknown."""

    queue: str
    pool: str
    priority: int
    requirements: tuple[Requirement, ...]
    labels: Mapping[str, str]
    rule: str
    reason: str
    failed: tuple[str, ...] = ()


_WORD: Final = re.compile(r"[\w.:+-]{1,64}", re.ASCII)


def travelling(labels: Mapping[str, str], declared: Collection[str]) -> dict[str, str]:
    """Return the labels that leave the conversation, for the router, SLA targets and surveys.

    These are the declared labels, and Chapar's own labels if the value is a single word.
    """
    return {
        name: value
        for name, value in labels.items()
        if name in declared or (name in OWN_LABELS and _WORD.fullmatch(value))
    }


def choose(
    rules: tuple[Rule, ...],
    pools: Mapping[str, str],
    condition: Condition,
    given: RuleInput,
    declared: Collection[str] = (),
) -> Choice | None:
    """Evaluate the rules in order.

    `pools`: queue to pool, in the configuration's order. `declared`: labels that may leave the conversation, in
    addition to Chapar's own. Returns None when the tenant has no queue.
    """
    failed: list[str] = []
    for rule in rules:
        verdict = condition(rule.when, given) if rule.when else Verdict.HOLDS
        if verdict is Verdict.DOES_NOT_HOLD:
            continue
        if verdict is Verdict.FAILED or rule.queue not in pools:
            failed.append(rule.name)
            continue
        labels = {**travelling(given.labels, declared), **rule.labels}
        return Choice(
            rule.queue,
            pools[rule.queue],
            rule.priority,
            rule.requirements,
            labels,
            rule.name,
            RULE_MATCHED,
            tuple(failed),
        )
    for queue, pool in pools.items():
        return Choice(queue, pool, 0, (), travelling(given.labels, declared), "", NO_RULE_MATCHED, tuple(failed))
    return None
