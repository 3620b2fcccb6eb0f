"""docs/reasons.md: every reason of a refusal or a dead letter.

`python -m docs.generate.reasons` prints it; a test compares it with the file. The texts come from the enums, the statuses from the code that
raises errors.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from services.chassis.errors import ErrorKind
from services.chassis.grpc.status import CODES
from services.ingest.adapters.edges.lane_questions import KINDS
from services.router.adapters.outcomes import refusal

ROOT: Final = Path(__file__).parents[2]
ENUMS: Final[Mapping[str, str]] = {
    "all services": "services/chassis/reasons.py",
    "ingest": "services/ingest/domain/reasons.py",
    "router": "services/router/domain/reasons.py",
    "sla": "services/sla/domain/reasons.py",
    "feedback": "services/feedback/domain/reasons.py",
    "command line": "services/cli/reasons.py",
}
"""The file with the enum of each package, by the package's name in the page."""
MAKERS: Final[Mapping[str, ErrorKind]] = {
    "invalid": ErrorKind.INVALID,
    "refused": ErrorKind.UNAUTHENTICATED,
    "CallerRefused": ErrorKind.PERMISSION_DENIED,
    "_denied": ErrorKind.PERMISSION_DENIED,
    "_turn": ErrorKind.EXHAUSTED,
}
"""Functions of the chassis that make an error of one kind with a given reason."""
ENGINE: Final = "services/router/domain"
"""The commands that the engine refuses become errors by `refusal`."""
INTAKE: Final = "services/ingest/domain"
"""The requests that the intake lane refuses become errors by its `KINDS`."""
_HEAD: Final = """\
# Reasons

A refusal has a gRPC or HTTP status and a **reason**: a stable code that programs compare. For example, a request with
`UNKNOWN_QUEUE` names a queue that the configuration does not have. Dead letters, metrics (label `reason`) and the log have the
same codes. `make docs` generates this page from the enums; a test compares them.

- **Where**: the part of Chapar that gives the reason.
- **Status**: the gRPC status. A reason without one is of a dead letter, a delivery, a connection or a
  decision of a lane.
- The reasons of routing events and of agents who can't take an interaction are in [routing policies](routing-policies.md), the
  findings of `chapar config lint` in the pages of their configuration.

| reason | where | status | meaning | what to do |
|---|---|---|---|---|
"""


@dataclass(slots=True)
class Code:
    """One reason, with all places that give it."""

    name: str
    text: str
    where: list[str] = field(default_factory=list)
    statuses: set[str] = field(default_factory=set)

    @property
    def meaning(self) -> str:
        """What it means."""
        return self.text.partition(". ")[0] + "."

    @property
    def remedy(self) -> str:
        """What the caller should do."""
        return self.text.partition(". ")[2]


def members(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and text of each member of the enum in a file."""
    for node in ast.parse(path.read_text()).body:
        if not (isinstance(node, ast.ClassDef) and node.name == "Reason"):
            continue
        for member, text in zip(node.body, node.body[1:], strict=False):
            match member, text:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    yield name, value, meaning
                case (ast.Assign(targets=[ast.Name(id=name)]), _):
                    yield name, "", ""


def named(node: ast.AST) -> Iterator[str]:
    """Yield the members of `Reason` that a piece of code names."""
    for each in ast.walk(node):
        match each:
            case ast.Attribute(value=ast.Name(id="Reason"), attr=name):
                yield name
            case _:
                pass


def statuses(folder: Path) -> Mapping[str, set[str]]:
    """Return the gRPC statuses that a package gives with each reason."""
    found: dict[str, set[str]] = defaultdict(set)

    def note(kind: ErrorKind, *parts: ast.AST) -> None:
        for name in (name for part in parts for name in named(part)):
            found[name].add(CODES[kind].name)

    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text())
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(ENGINE) and not place.endswith("/reasons.py"):
            for name in named(tree):
                found[name].add(CODES[refusal(name).kind].name)
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="ChaparError"), args=[ast.Attribute(attr=kind), reason, *_]):
                    if kind in ErrorKind.__members__:
                        note(ErrorKind[kind], reason)
                case ast.Call(func=ast.Name(id="Refused"), args=[ast.Attribute(attr=name), *_]) if place.startswith(
                    INTAKE
                ):
                    note(KINDS.get(name, ErrorKind.INVALID), node.args[0])
                case ast.Call(func=ast.Name(id=maker) | ast.Attribute(attr=maker), args=args, keywords=keywords):
                    if maker in MAKERS and (maker == "invalid" or "chassis" in place):
                        note(MAKERS[maker], *args[:3], *(each.value for each in keywords))
                case _:
                    pass
    return found


@cache
def codes() -> tuple[Code, ...]:
    """Return all reasons, in order of their names."""
    found: dict[str, Code] = {}
    for where, file in ENUMS.items():
        folder = ROOT / "/".join(file.split("/")[:2])
        found_here = statuses(folder)
        for name, _, text in members(ROOT / file):
            code = found.setdefault(name, Code(name, text))
            code.where.append(where)
            code.statuses |= found_here.get(name, set())
    return tuple(found[name] for name in sorted(found))


def render() -> str:
    """Return the page."""
    rows = (
        f"| `{code.name}` | {', '.join(code.where)} | {' or '.join(sorted(code.statuses))} | {code.meaning} | {code.remedy} |"
        for code in codes()
    )
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(render(), end="")
