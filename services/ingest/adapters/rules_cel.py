"""Conditions of routing rules in CEL, compiled once per version of a configuration.

Variables: `channel`, `account`, `language`, `text`, `text_length`, `person` (attributes, all text), `labels`, `public`.
The core limits the text's length; `services.chassis.expressions` bounds the rest. An expression that does not compile,
raises, or does not give true or false is FAILED, never an exception: the core evaluates the next rule.
"""

from collections.abc import Iterable
from typing import Any, Final

from services.chassis.expressions import Expressions
from services.ingest.domain.rules import RuleInput, Verdict

_VERDICTS: Final = {True: Verdict.HOLDS, False: Verdict.DOES_NOT_HOLD, None: Verdict.FAILED}


class CelConditions:
    """The conditions of one version, by their source text. Implements `domain.rules.Condition`."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._expressions = Expressions(sources, _variables)

    @property
    def refused(self) -> dict[str, str]:
        """Return the expressions that did not compile, with the reasons."""
        return self._expressions.refused

    def __call__(self, when: str, given: RuleInput) -> Verdict:
        return _VERDICTS[self._expressions.holds(when, given)]


def _variables(given: RuleInput) -> dict[str, Any]:
    return {
        "channel": given.channel,
        "account": given.account,
        "language": given.language,
        "text": given.text,
        "text_length": given.text_length,
        "person": dict(given.person),
        "labels": dict(given.labels),
        "public": given.public,
    }
