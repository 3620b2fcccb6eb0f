"""Findings about a configuration: the problem, its place in the contract, how to fix it, and whether the configuration can be used.

The readers (`services/policy/reading`) and the checks of lint (`services/policy/lint`) report to the same list. A service
refuses a configuration in which a reader finds an error; lint reports all findings with their lines.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
"""The place of a part in `chapar.config.v1.TenantConfiguration`: names of fields, indexes of lists, keys of maps."""
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning. `message` is for the author of the configuration: the problem, and how to fix it."""

    code: str
    message: str
    path: Path
    severity: Severity = "error"


class ConfigurationRefused(ValueError):  # noqa: N818 - a verdict about a configuration
    """A configuration that cannot be used. The text names the first error; `errors` has all of them."""

    def __init__(self, errors: tuple[Finding, ...]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Findings:
    """Collects findings in the order in which they are made. A finding that two readers make is one."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self.error_count = 0
        """Number of errors so far: a reader that compares it knows whether a part had one."""

    def find(self, code: str, message: str, *path: str | int, severity: Severity = "error") -> None:
        """Add a finding about a part."""
        finding = Finding(code, message, path, severity)
        if finding not in self._found:
            self._found[finding] = None
            self.error_count += severity == "error"

    def find_unknown(self, what: str, name: str, known: Collection[str], *path: str | int) -> None:
        """Add an error if a part names something that does not exist. An empty name names nothing."""
        if name and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            code = f"UNKNOWN_{what.upper().replace(' ', '_')}"
            self.find(code, f"there is no {what} `{name}` (known: {listed})", *path)

    @property
    def found(self) -> tuple[Finding, ...]:
        """All findings."""
        return tuple(self._found)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings because of which the configuration cannot be used."""
        return tuple(finding for finding in self._found if finding.severity == "error")

    def refuse_errors(self) -> None:
        """Raise ConfigurationRefused if there is an error."""
        if errors := self.errors:
            raise ConfigurationRefused(errors)
