"""Approved templates in a terminal: the lines that show them, and the line by which an agent chooses one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2

OUTSIDE_WINDOW: Final = "OUTSIDE_WINDOW"
"""The reason of a text that came too late for a free reply."""
MAX_VALUES: Final = 20


def template_lines(templates: Iterable[ingest_pb2.TemplateView]) -> list[str]:
    """Return a line for each template, with what to type to send it."""
    lines = [f"{each.name} ({each.language}): {each.body}" + _typed(each) for each in templates]
    return lines or ["this account has no approved templates"]


def template_choice(line: str) -> types_pb2.TemplateChoice:
    """Read `NAME | VALUE | VALUE`, or `NAME/LANGUAGE | VALUE`."""
    name, *values = (part.strip() for part in line.split("|", MAX_VALUES))
    name, _, language = name.partition("/")
    return types_pb2.TemplateChoice(name=name.strip(), language=language.strip(), parameters=values)


def _typed(template: ingest_pb2.TemplateView) -> str:
    values = "".join(f" | {{{{{number}}}}}" for number in range(1, template.parameters + 1))
    return f"  [m {template.name}{values}]"
