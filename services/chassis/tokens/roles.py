"""Roles: named sets of scopes, in one table. docs/rights.md shows what each may call.

A token contains scopes. Roles are the words that people use, the argument of `chapar token --role`, and the names to which the
roles of a company's identity provider are mapped (`jwt.roles`). A scope that no role has is for service keys alone.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """The roles of people in Chapar."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    SYSTEM = "system"


_WATCH: Final = frozenset(
    {"routing.read", "agents.read", "sla.read", "feedback.read", "outbound.read", "outbound.templates"}
)

SCOPES_OF: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        # An agent: their own conversations, and the queues that they serve.
        Role.AGENT: frozenset(
            {
                "agent.session", "conversations.read.own", "outbound.resend", "outbound.templates", "outbound.upload",
                "routing.read", "agents.read",
            }
        ),
        # A supervisor: sees every conversation, moves interactions, sets agents' states. Changes no person and no skill.
        Role.SUPERVISOR: _WATCH
        | {
            "conversations.read", "person.read", "person.preferences", "person.join", "person.block", "outbound.resend",
            "outbound.upload",
            "routing.supervise", "agents.supervise", "feedback.invite",
        },
        # An administrator of the tenant: agents and their skills, persons and their erasure. Does not take interactions.
        Role.ADMINISTRATOR: _WATCH
        | {
            "conversations.read", "person.read", "person.write", "person.erase", "person.preferences", "person.join",
            "person.block", "outbound.resend", "outbound.upload",
            "routing.supervise", "agents.supervise", "agents.write", "feedback.invite", "audit.read",
        },
        # Reads everything, changes nothing.
        Role.AUDITOR: _WATCH | {"conversations.read", "person.read", "audit.read"},
        # Other systems of the company, and Chapar's own services: submit messages, send, invite, escalate.
        Role.SYSTEM: frozenset(
            {
                "ingest.submit", "ingest.follow_up", "person.preferences", "person.join", "person.block", "outbound.send", "outbound.read",
                "outbound.templates",
                "feedback.invite", "feedback.respond", "routing.read", "routing.escalate", "sla.read",
            }
        ),
    }
)  # fmt: skip

SCOPES: Final = frozenset().union(*SCOPES_OF.values())
"""Every scope."""


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """Return the scopes of all these roles; a name that is not a role adds none."""
    known = {role.value: role for role in Role}
    return frozenset[str]().union(*(SCOPES_OF[known[name]] for name in roles if name in known))
