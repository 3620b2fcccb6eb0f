"""The policy of a what-if scenario: a tenant's configuration file next to it, or queues in the scenario itself, in the same format."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.cli.config.files import LARGEST_FILE, Document, load
from services.cli.reasons import Reason

OWN_KEYS = ("queues", "capacity_profiles")


def of_file(path: Path) -> config_pb2.TenantConfiguration:
    """Read a policy file, which may be a part of a configuration. Raises INVALID with every line that is wrong, and OSError."""
    return _sound(load(path))


def of_scenario(path: Path) -> config_pb2.TenantConfiguration | None:
    """Return the policy in a scenario; None when the policy follows from the scenario's types. Raises as `of_file`.

    The rest of the scenario is not checked here: the simulator reads it and reports its errors.
    """
    if path.stat().st_size > LARGEST_FILE:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = YAML(typ="rt").load(text)
    except (YAMLError, ValueError, TypeError, RecursionError):
        return None
    if not isinstance(content, CommentedMap):
        return None
    given = content.get("policy")
    if isinstance(given, str) and given:
        return of_file(path.parent / given)
    own = [key for key in OWN_KEYS if content.get(key)]
    return _own(path, text, content, own) if own else None


def _own(path: Path, text: str, content: CommentedMap, own: list[str]) -> config_pb2.TenantConfiguration:
    """Read the policy from the scenario with all other lines blanked, so that findings keep their line numbers."""
    starts = sorted((content.lc.key(key)[0], str(key)) for key in content)
    ends = [line for line, _ in starts[1:]] + [len(text.splitlines())]
    lines = [""] * ends[-1]
    for (start, key), end in zip(starts, ends, strict=True):
        if key in own:
            lines[start:end] = text.splitlines()[start:end]
    with tempfile.TemporaryDirectory() as directory:
        part = Path(directory, path.name)
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        document = load(part)
    document.findings = [replace(finding, file=str(path)) for finding in document.findings]
    return _sound(document)


def _sound(document: Document) -> config_pb2.TenantConfiguration:
    wrong = [finding for finding in document.findings if finding.severity == "error"]
    if wrong:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.POLICY_INVALID,
            "the policy cannot be used",
            violations=tuple(FieldViolation(f"{one.file}:{one.line}", one.message) for one in wrong),
        )
    return document.configuration
