"""All mutants of a source: mutmut's, with those of decorated functions and of class-level and module-level lines, and
removed statements.

Excluded by rule, because no test could or should detect the difference:

- annotations, decorators (`slots`, `frozen`, sizes of caches) and `__slots__`;
- docstrings, and texts with a blank in them: sentences for people;
- `assert`, which names impossible states, and the argument of `len(...)` or `isinstance(...)`;
- `set[key] = ""` for `set[key] = None`: dicts are used as sets that keep their order, and no code reads the values;
- constants that only bound memory (`BOUNDS`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

_WIDE: Final = 120
_AROUND: Final = 30
BOUNDS: Final = ("requirement_sets_kept", "persons_kept", "results_kept")
_UNTOUCHED: Final = (cst.Annotation, cst.Decorator, cst.Assert)
_NOT_INSIDE: Final = m.Call(func=m.Name("len") | m.Name("isinstance"))
_AS_SETS: Final = m.Assign(targets=[m.AssignTarget(target=m.Subscript())], value=m.Name("None"))
_NAMED: Final = m.Assign(targets=[m.AssignTarget(target=m.OneOf(*(m.Name(name) for name in ("__slots__", *BOUNDS))))])
_NAMED_TOO: Final = m.AnnAssign(target=m.OneOf(*(m.Name(name) for name in BOUNDS)))
_REMOVABLE: Final = (
    m.Expr(value=m.Call() | m.Yield())
    | m.AugAssign()
    | m.Del()
    | m.Assign(targets=[m.AssignTarget(target=m.Subscript() | m.Attribute() | m.Tuple())])
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: its place, the text before and the text after. `number` counts the mutants of its file."""

    path: str
    number: int
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """Name of the mutant for `--mutant`."""
        return f"{Path(self.path).name}#{self.number}"

    def __str__(self) -> str:
        before, after = _differing(self.before, self.after) if len(self.before) > _WIDE else (self.before, self.after)
        return f"{self.name} line {self.line}: {before}  =>  {after}"


def _differing(before: str, after: str) -> tuple[str, str]:
    """Return two long texts without most of their common beginning and end."""
    start = _alike(before, after)
    end = min(_alike(before[::-1], after[::-1]), len(after) - start, len(before) - start)
    first, last = max(0, start - _AROUND), max(0, end - _AROUND)
    middle = [text[first : len(text) - last] for text in (before, after)]
    kept = [part if len(part) <= 2 * _WIDE else f"{part[:_WIDE]} [...] {part[-_AROUND:]}" for part in middle]
    return f"...{kept[0]}...", f"...{kept[1]}..."


def _alike(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Source:
    """A file and its mutants."""

    def __init__(self, path: str, text: str) -> None:
        wrapper = MetadataWrapper(cst.parse_module(text))
        visitor = _Visitor()
        wrapper.visit(visitor)
        self._module = wrapper.module
        self._changes = visitor.changes
        self.mutants = [
            Mutant(path, number, line, self._shown(old), self._shown(new))
            for number, (line, old, new) in enumerate(self._changes)
        ]

    def _shown(self, node: cst.CSTNode) -> str:
        return " ".join(self._module.code_for_node(node).split()) or type(node).__name__

    def text(self, mutant: Mutant) -> str:
        """Return the whole file with that change."""
        _, old, new = self._changes[mutant.number]
        changed = self._module.deep_replace(old, new)
        assert isinstance(changed, cst.Module)
        return changed.code


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _UNTOUCHED) or m.matches(node, _NOT_INSIDE | _NAMED | _NAMED_TOO):
            return False
        position = self.get_metadata(PositionProvider, node, None)
        if position is not None:
            self.changes.extend((position.start.line, node, new) for new in _mutations(node))
        return True


def _mutations(node: cst.CSTNode) -> Iterable[cst.CSTNode]:
    if isinstance(node, cst.SimpleStatementLine):
        if len(node.body) == 1 and m.matches(node.body[0], _REMOVABLE):
            yield node.with_changes(body=[cst.Pass()])
        return
    if isinstance(node, cst.SimpleString) and " " in node.value:
        return
    for kind, operator in mutation_operators:
        if isinstance(node, kind) and not (m.matches(node, _AS_SETS) and kind is cst.Assign):
            yield from operator(node)


def sources(files: Iterable[Path], root: Path) -> Iterator[Source]:
    """Yield the sources of these files, by name."""
    for file in sorted(files):
        yield Source(str(file.relative_to(root)), file.read_text())
