"""Routing rules: the first rule whose condition holds decides.

A condition that fails at run time does not hold. The failure is counted and the next rule is evaluated, because one bad
expression must not stop a tenant's customers. When no rule holds, the tenant's first queue gets the interaction with
the reason NO_RULE_MATCHED, so that no customer is dropped. An adapter evaluates conditions (CEL); the core sees only a
verdict.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from services.policy.model.labels import OWN_LABELS
from services.policy.model.rules import Condition, Requirement, Rule, RuleInput, Verdict

NO_RULE_MATCHED: Final = "NO_RULE_MATCHED"
RULE_MATCHED: Final = "RULE_MATCHED"


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
