"""Conditions of routing rules in CEL, compiled once per version of a configuration.

Variables: `channel`, `account`, `language`, `text`, `text_length`, `person` (attributes, all text), `labels`, `public`,
`message` (`message.automatic`: the name of the kind, "NONE" if a person wrote it), `account_open`. `open("NAME")` says whether a queue is open.
The core limits the text's length; `services.chassis.expressions` bounds the rest. An expression that does not compile,
raises, or does not give true or false is FAILED, never an exception: the core evaluates the next rule.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from services.chassis.expressions import Expressions, Functions
from services.policy.model.rules import RuleInput, Verdict

_VALUES: Final[Mapping[str, Callable[[RuleInput], Any]]] = MappingProxyType(
    {
        "channel": lambda given: given.channel,
        "account": lambda given: given.account,
        "language": lambda given: given.language,
        "text": lambda given: given.text,
        "text_length": lambda given: given.text_length,
        "person": lambda given: dict(given.person),
        "labels": lambda given: dict(given.labels),
        "public": lambda given: given.public,
        "message": lambda given: {"automatic": given.automatic.name},
        "account_open": lambda given: given.account_open,
    }
)
VARIABLES: Final = tuple(_VALUES)
"""Variables that the condition of a rule may use."""
OPEN: Final = "open"
FUNCTIONS: Final = (OPEN,)
"""Functions that the condition of a rule may call."""
_VERDICTS: Final = {True: Verdict.HOLDS, False: Verdict.DOES_NOT_HOLD, None: Verdict.FAILED}


class CelConditions:
    """The conditions of one version, by their source text. Implements `services.policy.model.rules.Condition`."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._expressions = Expressions(sources, _variables, _functions)

    @property
    def refused(self) -> dict[str, str]:
        """Return the expressions that did not compile, with the reasons."""
        return self._expressions.refused

    def __call__(self, when: str, given: RuleInput) -> Verdict:
        return _VERDICTS[self._expressions.holds(when, given)]


def _variables(given: RuleInput) -> dict[str, Any]:
    return {name: value(given) for name, value in _VALUES.items()}


def _functions(given: RuleInput) -> Functions:
    return {OPEN: given.open}
