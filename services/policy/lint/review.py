"""A configuration under review, and what the checks must know about its surroundings. The checks read nothing else."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from chapar.config.v1 import config_pb2
from services.chassis.destinations import PUBLIC, Destinations
from services.policy.findings import Findings, Path, Severity


def _no_secret(_reference: str) -> str:
    return ""


def _not_checked(_variable: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Review:
    """One tenant's configuration.

    `today`: an ISO 8601 date. `written`: the parts that the author wrote down, to distinguish a written zero from one that was left out.
    `destinations`: where services may send to. `secret_of`: a secret by its reference; empty when it cannot be read here. `is_set`: whether
    the services have a variable of the environment.
    """

    configuration: config_pb2.TenantConfiguration
    today: str
    written: Collection[Path] = frozenset()
    destinations: Destinations = PUBLIC
    secret_of: Callable[[str], str] = _no_secret
    is_set: Callable[[str], bool] = _not_checked
    findings: Findings = field(default_factory=Findings)

    def find(self, code: str, message: str, *path: str | int, severity: Severity = "error") -> None:
        """Add a finding about a part."""
        self.findings.find(code, message, *path, severity=severity)
