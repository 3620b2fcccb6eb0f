"""Prints the differences of two configurations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from services.cli.config.differences import Difference, DifferenceKind
from services.cli.output import console, errors

_SIGNS: Final = {
    DifferenceKind.ADDED: "+",
    DifferenceKind.REMOVED: "-",
    DifferenceKind.CHANGED: "~",
    DifferenceKind.REORDERED: "~",
}
_DEFAULT: Final = "(default)"


def show_differences(found: Sequence[Difference], *, to_errors: bool) -> None:
    """Print the differences by section and part."""
    for section, parts in groupby(found, key=lambda each: each.section):
        _line(section, to_errors=to_errors)
        for each in parts:
            what = " ".join(filter(None, (each.name, each.field)))
            match each.kind:
                case DifferenceKind.ADDED | DifferenceKind.REMOVED:
                    text = what
                case DifferenceKind.REORDERED:
                    text = f"order: {each.before} -> {each.after}"
                case DifferenceKind.CHANGED:
                    text = f"{what}: {each.before or _DEFAULT} -> {each.after or _DEFAULT}"
            _line(f"  {_SIGNS[each.kind]} {text}", to_errors=to_errors)
    if not found:
        _line("nothing differs", to_errors=to_errors)


def _line(text: str, *, to_errors: bool) -> None:
    (errors if to_errors else console).print(text, markup=False, highlight=False, soft_wrap=True)
