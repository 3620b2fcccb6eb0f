"""Converts the approved template of a message between the contract and history's column."""

from collections.abc import Mapping
from typing import Any

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.ingest.adapters.history.story import clean


def template_column(message: records_pb2.ConversationMessage) -> dict[str, Any]:
    """Return the column of a message; empty for a free text."""
    if not message.HasField("template"):
        return {}
    used = message.template
    return {
        "name": clean(used.name),
        "language": clean(used.language),
        "parameters": [clean(each) for each in used.parameters],
    }


def template_of(column: Mapping[str, Any]) -> types_pb2.TemplateChoice | None:
    """Return the template of a column; None for a free text."""
    return types_pb2.TemplateChoice(**column) if column else None
