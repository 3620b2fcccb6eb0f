"""Generates docs/rights.md: the methods that each role may call, from the contracts' rules and the table of roles.

`python -m services.chassis.grpc.rights` prints it; a test compares it with the file and with a table reviewed by hand.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from google.protobuf.descriptor import MethodDescriptor

import chapar
from services.chassis.grpc.auth import Rule, rule_of_descriptor
from services.chassis.tokens.roles import SCOPES_OF, Role


def methods() -> Iterator[MethodDescriptor]:
    """Return every RPC of Chapar, by service."""
    roots = [Path(path) for path in chapar.__path__]
    files = sorted(file.relative_to(root.parent) for root in roots for file in root.rglob("*_pb2.py"))
    modules = [import_module(".".join(file.with_suffix("").parts)) for file in files]
    services = {
        service.full_name: service for module in modules for service in module.DESCRIPTOR.services_by_name.values()
    }
    for name in sorted(services):
        yield from services[name].methods


def allowed(role: Role, rule: Rule | None) -> bool:
    """Return whether a token with only a role's scopes satisfies a rule."""
    return rule is not None and (rule.public or not rule.missing(SCOPES_OF[role]))


def matrix() -> Mapping[str, frozenset[Role]]:
    """Return the roles that may call each method, by full method name."""
    return {
        method.full_name: frozenset(role for role in Role if allowed(role, rule_of_descriptor(method)))
        for method in methods()
    }


def render_markdown() -> str:
    """Return the content of docs/rights.md."""
    lines = [
        "# Rights",
        "",
        "What each role may call. Drawn from the contracts (`(chapar.common.v1.auth)`) and `services/chassis/tokens/roles.py` by",
        "`make docs`; a test compares them, and compares the table with one that was reviewed by hand. A token holds scopes; a",
        "role is a set of them. `chapar token --role ROLE` mints one in development.",
        "",
        "`a or b`: one of them is enough.",
        "",
        "| scope | " + " | ".join(Role) + " |",
        "|---|" + "---|" * len(Role),
    ]
    scopes = sorted(frozenset[str]().union(*SCOPES_OF.values()))
    lines += [
        f"| `{scope}` | " + " | ".join(_mark(scope in SCOPES_OF[role]) for role in Role) + " |" for scope in scopes
    ]
    service = ""
    for method in methods():
        if method.containing_service.full_name != service:
            service = method.containing_service.full_name
            lines += [
                "",
                f"## {service}",
                "",
                "| method | scope | " + " | ".join(Role) + " |",
                "|---|---|" + "---|" * len(Role),
            ]
        rule = rule_of_descriptor(method)
        marks = " | ".join(_mark(allowed(role, rule)) for role in Role)
        lines.append(f"| {method.name} | {_asks(rule)} | {marks} |")
    return "\n".join(lines) + "\n"


def _asks(rule: Rule | None) -> str:
    if rule is None:
        return "closed"
    if rule.public:
        return "none"
    parts = [*(f"`{scope}`" for scope in sorted(rule.scopes))]
    if rule.any_of:
        parts.append(" or ".join(f"`{scope}`" for scope in sorted(rule.any_of)))
    return ", ".join(parts)


def _mark(yes: bool) -> str:
    return "yes" if yes else ""


if __name__ == "__main__":
    print(render_markdown(), end="")
