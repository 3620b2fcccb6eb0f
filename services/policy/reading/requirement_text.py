"""Requirements as people type them: the form in which they are shown."""

import re
from typing import Final

from chapar.common.v1 import types_pb2

_SPOKEN: Final = re.compile(
    r"(?:has (?P<has>\S+)|(?P<name>[^\s<>=!]+)\s*(?:(?P<sign>>=|<=|!=|=|<|>)\s*(?P<right>[^\s<>=!].*)|in\s*\((?P<among>.+)\)))"
)
_OPERATORS: Final = {
    "=": types_pb2.SELECTOR_OPERATOR_EQUAL,
    "!=": types_pb2.SELECTOR_OPERATOR_NOT_EQUAL,
    "<": types_pb2.SELECTOR_OPERATOR_LESS,
    "<=": types_pb2.SELECTOR_OPERATOR_AT_MOST,
    ">": types_pb2.SELECTOR_OPERATOR_GREATER,
    ">=": types_pb2.SELECTOR_OPERATOR_AT_LEAST,
}


def parse_requirement(text: str) -> types_pb2.Selector:
    """Parse a requirement such as `persian >= 5`, `city = qom`, `city in (qom, tehran)` or `has vip`. Raises ValueError for other text."""
    found = _SPOKEN.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is not a requirement such as 'persian >= 5', 'city = qom', 'city in (qom, ray)' or 'has vip'"
        )
    if found["has"]:
        return types_pb2.Selector(attribute=found["has"], operator=types_pb2.SELECTOR_OPERATOR_HAS)
    made = types_pb2.Selector(attribute=found["name"])
    if found["among"]:
        made.operator = types_pb2.SELECTOR_OPERATOR_IN
        made.texts.extend(part.strip() for part in found["among"].split(","))
        return made
    made.operator = _OPERATORS[found["sign"]]
    try:
        made.number = float(found["right"])
    except ValueError:
        made.text = found["right"]
    return made
