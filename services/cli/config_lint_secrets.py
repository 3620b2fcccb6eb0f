"""References to secrets: a tenant may name its own and no others. The services read no others either."""

from __future__ import annotations

from services.chassis.secrets import reference_problem
from services.cli.config_files import Document


def find_reference(document: Document, what: str, reference: str, *place: str | int) -> None:
    """Adds a finding for a reference that would never be read."""
    problem = reference_problem(document.configuration.tenant, reference)
    if problem:
        code = "SECRET_OUTSIDE" if reference.startswith(("env:", "file:")) else "SECRET_IN_CLEAR"
        document.find(code, f"{what} {problem}", *place)
