"""Templates that a provider has approved: their texts with numbered parameters, and the account's rule for a text that comes too
late for a free reply.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_BODY_CHARS: Final = 1_024
"""The most characters of a template's text, with its parameters filled in."""
MAX_PARAMETERS: Final = 20

_MOST_READ: Final = 16 * MAX_BODY_CHARS
_PARAMETER: Final = re.compile(r"\{\{([0-9]{1,2})\}\}")
_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(_[A-Za-z0-9]{2,8}){0,2}")


class TemplateCategory(IntEnum):
    """What a template is for. The numbers are those of the contract."""

    UNSPECIFIED = 0
    MARKETING = 1
    UTILITY = 2
    AUTHENTICATION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedTemplate:
    """A template of an account."""

    name: str
    language: str
    body: str
    category: TemplateCategory = TemplateCategory.UNSPECIFIED

    @property
    def parameters(self) -> int:
        """Return the number of parameters."""
        return max((int(number) for number in _PARAMETER.findall(self.body)), default=0)

    def problems(self) -> list[str]:
        """Return what a provider would not take, in words."""
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(f"the name `{self.name}` must be 1 to 512 characters of a-z, 0-9 and _")
        if not _LANGUAGE.fullmatch(self.language):
            found.append(f"the language `{self.language}` must be a code such as fa or en_US")
        if not self.body.strip():
            found.append("the body is empty")
        if len(self.body) > MAX_BODY_CHARS:
            found.append(f"the body has more than {MAX_BODY_CHARS} characters")
        numbers = {int(number) for number in _PARAMETER.findall(self.body)}
        if numbers != set(range(1, len(numbers) + 1)):
            found.append("the parameters must be numbered from {{1}} without gaps")
        if len(numbers) > MAX_PARAMETERS:
            found.append(f"the body has more than {MAX_PARAMETERS} parameters")
        return found

    def filled(self, values: Sequence[str]) -> str | None:
        """Return the text with these values; None when their number or one of them does not fit.

        A provider refuses a value that is empty, has a line break, a tab, or more than four spaces in a row.
        """
        if len(values) != self.parameters or not all(_fits(value) for value in values):
            return None
        text = _PARAMETER.sub(lambda found: values[int(found[1]) - 1] if found[1] != "0" else found[0], self.body)
        return text if len(text) <= MAX_BODY_CHARS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideWindow:
    """The rule of an account for a text that comes too late: the template to send in its place."""

    template: str
    language: str = ""
    parameters: tuple[str, ...] = ()

    def values(self, *, text: str, name: str) -> tuple[str, ...]:
        """Return the values of the parameters for this text and this customer."""
        known = {"{text}": on_one_line(text), "{name}": on_one_line(name)}
        return tuple(_PLACEHOLDER.sub(lambda found: known[found[0]], value) for value in self.parameters)


_PLACEHOLDER: Final = re.compile(r"\{text\}|\{name\}")


def chosen(templates: Sequence[ApprovedTemplate], name: str, language: str) -> ApprovedTemplate | None:
    """Return the template of this name and language; without a language, the first of this name."""
    return next((each for each in templates if each.name == name and language in ("", each.language)), None)


def on_one_line(text: str) -> str:
    """Return the text with each run of white space as one space. A text that is too long for any template is not read to its end."""
    return " ".join(text.split()) if len(text) <= _MOST_READ else text[: MAX_BODY_CHARS + 1]


def _fits(value: str) -> bool:
    return (
        len(value) <= MAX_BODY_CHARS and bool(value.strip()) and not set(value) & set("\n\r\t") and "     " not in value
    )
