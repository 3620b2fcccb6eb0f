"""Conditions (`when`) from a tenant's configuration."""

from collections.abc import Collection, Iterable

from services.chassis.expressions import ExpressionRefused, Together, TooCostly, UnknownVariable
from services.policy.findings import Findings


def check_condition(
    findings: Findings,
    together: Together,
    source: str,
    variables: Iterable[str],
    what: str,
    *path: str | int,
    functions: Collection[str] = (),
) -> None:
    """Report a condition that is not valid, costs too much, or uses other variables or functions. `what`: whose condition it is, for
    people."""
    try:
        together.add(source, variables, functions)
    except TooCostly as error:
        findings.find("COSTLY_EXPRESSION", f"`when` of {what} {error}", *path)
    except UnknownVariable as error:
        findings.find("UNKNOWN_VARIABLE", f"`when` of {what} {error}", *path)
    except ExpressionRefused as error:
        reason = next((line for line in str(error).splitlines() if "ERROR" in line), str(error))
        findings.find("BAD_EXPRESSION", f"`when` of {what} is not valid CEL: {reason}", *path)
