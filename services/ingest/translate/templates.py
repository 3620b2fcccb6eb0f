"""Converts the choice of an approved template."""

from chapar.common.v1 import types_pb2
from services.ingest.domain.messages import TemplateUse


def template_use(record: types_pb2.TemplateChoice) -> TemplateUse:
    """Convert a choice from the contract."""
    return TemplateUse(name=record.name, language=record.language, parameters=tuple(record.parameters))


def template_choice(value: TemplateUse) -> types_pb2.TemplateChoice:
    """Convert a choice to the contract."""
    return types_pb2.TemplateChoice(name=value.name, language=value.language, parameters=value.parameters)
