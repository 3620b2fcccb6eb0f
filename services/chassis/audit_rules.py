"""The rules by which the audit log records calls: the option `(chapar.common.v1.audit)` of each method.

A rule gives the paths of the ids: `request.reroute.interaction_id`, `response.conversations.person_id`, `caller.agent_id`.
A path through a repeated field gives one id for each element. Empty ids are left out. When no id remains, the record has
the kind alone, because the call was about all targets of that kind. A record has at most `MOST_TARGETS` targets; a call
about more targets is written as several records, so that no target is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from chapar.common.v1 import options_pb2

MOST_TARGETS = 500
"""Targets of one record. The log refuses a record of more than 900,000 bytes, and an id may have 200 bytes."""
_ROOTS = ("request", "response", "caller")


@dataclass(frozen=True, slots=True)
class TargetPath:
    """The path of the ids of one kind of target."""

    kind: str
    root: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditRule:
    """The action and targets that are recorded for each call of one method."""

    changes: bool
    targets: tuple[TargetPath, ...]

    @property
    def reads_response(self) -> bool:
        """Return whether ids come from the response."""
        return any(target.root == "response" for target in self.targets)


def audit_rule_of(method: str) -> AuditRule | None:
    """Return the rule of `/package.Service/Method`; None when its calls are not audited."""
    service, _, name = method.removeprefix("/").partition("/")
    try:
        descriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    return audit_rule_of_descriptor(descriptor)


def audit_rule_of_descriptor(descriptor: MethodDescriptor) -> AuditRule | None:
    """Return the rule of a descriptor. Raises ValueError for a path that does not exist: a mistake in the contract."""
    options = descriptor.GetOptions()
    if not options.HasExtension(options_pb2.audit):
        return None
    found = options.Extensions[options_pb2.audit]
    if found.action == options_pb2.AUDIT_ACTION_UNSPECIFIED or not found.targets:
        raise ValueError(f"{descriptor.full_name}: the audit option needs an action and a target")
    paths = tuple(_path(descriptor, target) for target in found.targets)
    return AuditRule(found.action == options_pb2.AUDIT_ACTION_CHANGE, paths)


def _path(method: MethodDescriptor, target: options_pb2.AuditTarget) -> TargetPath:
    if not target.path:
        return TargetPath(target.kind, "", ())
    root, *fields = target.path.split(".")
    if root not in _ROOTS or not fields:
        raise ValueError(f"{method.full_name}: {target.path} does not begin with {', '.join(_ROOTS)}")
    if root == "request":
        _check(method, method.input_type, fields)
    elif root == "response":
        _check(method, method.output_type, fields)
    return TargetPath(target.kind, root, tuple(fields))


def _check(method: MethodDescriptor, message: Descriptor | None, fields: list[str]) -> None:
    for name in fields:
        found = None if message is None else message.fields_by_name.get(name)
        if found is None:
            raise ValueError(f"{method.full_name}: the audit path has no field {name}")
        message = found.message_type


def targets_of(rule: AuditRule, roots: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return (kind, id) of each target of a call, without repetition.

    `roots`: the messages by root; a root that does not exist yet gives no ids.
    """
    found: dict[tuple[str, str], None] = {}
    for target in rule.targets:
        ids = [each for each in _ids(roots.get(target.root), target.fields) if each] if target.root else []
        for each in ids or [""]:
            found[target.kind, each] = None
    named = {kind for kind, each in found if each}
    return tuple(target for target in found if target[1] or target[0] not in named)


def _ids(value: Any, fields: tuple[str, ...]) -> Iterator[str]:
    if value is None:
        return
    if not fields:
        yield str(value)
        return
    inner = getattr(value, fields[0])
    if isinstance(inner, str) or not isinstance(inner, Sequence):
        yield from _ids(inner, fields[1:])
        return
    for each in inner:
        yield from _ids(each, fields[1:])
