"""The policy of a what-if scenario: a tenant's configuration beside it, or queues in the scenario itself, written in the same words."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.cli.config_files import LARGEST_FILE, Document, load

OWN_KEYS = ("queues", "capacity_profiles")


def of_file(path: Path) -> config_pb2.TenantConfiguration:
    """A policy file, which may be a part of a configuration. Raises INVALID with every line that is wrong; OSError."""
    return _sound(load(path))


def of_scenario(path: Path) -> config_pb2.TenantConfiguration | None:
    """What a scenario says of its policy; None when it leaves it to its types. Raises as `of_file`.

    Nothing else of the scenario is looked at: whoever runs it reads it, and says what is wrong with it.
    """
    if path.stat().st_size > LARGEST_FILE:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = YAML(typ="rt").load(text)
    except (YAMLError, RecursionError):
        return None
    if not isinstance(content, CommentedMap):
        return None
    given = content.get("policy")
    if isinstance(given, str) and given:
        return of_file(path.parent / given)
    own = [key for key in OWN_KEYS if content.get(key)]
    return _own(path, text, content, own) if own else None


def _own(path: Path, text: str, content: CommentedMap, own: list[str]) -> config_pb2.TenantConfiguration:
    """The scenario without all other lines, so that what is wrong keeps its line."""
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
            "POLICY_INVALID",
            "the policy cannot be used",
            violations=tuple(FieldViolation(f"{one.file}:{one.line}", one.message) for one in wrong),
        )
    return document.configuration
