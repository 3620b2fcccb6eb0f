"""Checks references to secrets: a tenant may refer only to its own secrets. The services also read only those."""

from __future__ import annotations

from services.chassis.secrets import reference_problem
from services.policy.lint.review import Review


def find_reference(review: Review, what: str, reference: str, *place: str | int) -> None:
    """Add a finding for a reference that no service would read, or whose variable is not set."""
    problem = reference_problem(review.configuration.tenant, reference)
    if problem:
        code = "SECRET_OUTSIDE" if reference.startswith(("env:", "file:")) else "SECRET_IN_CLEAR"
        review.find(code, f"{what} {problem}", *place)
        return
    scheme, _, variable = reference.partition(":")
    if scheme == "env" and not review.is_set(variable):
        message = f"{what} refers to the variable {variable}, which is not set here: set it where the services run"
        review.find("SECRET_NOT_SET", message, *place, severity="warning")
