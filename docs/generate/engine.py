"""docs/engine.md: the wings of the routing engine, which of them imports which, and what each module is for.

`python -m docs.generate.engine` prints it; a test compares it with the file.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).resolve().parents[2]
DOMAIN: Final = "services.router.domain"
PAGE: Final = ROOT / "docs/engine.md"
_INTRODUCTION: Final = """\
# The routing engine, by module

For example, to see how an agent is chosen, begin at `assignment/dispatch.py` and follow the arrows
down: `assignment` decides, `pool` remembers. An arrow means "imports"; arrows that follow from
others are left out. No arrow points up, which `.importlinter` enforces.

`make docs` draws this page from the code; a test compares.
"""


def edges(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Return, for each wing or module directly in the domain, the others that it imports."""
    children = sorted(graph.find_children(DOMAIN))
    return {
        one: {
            other
            for other in children
            if other != one and graph.direct_import_exists(importer=one, imported=other, as_packages=True)
        }
        for one in children
    }


def direct(found: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the arrows that do not follow from two or more others."""

    def below(name: str) -> set[str]:
        return found[name].union(*(below(other) for other in found[name]))

    for one, others in found.items():
        further = set[str]().union(*(below(other) for other in others))
        for other in sorted(others - further):
            yield one, other


def first_line(path: Path) -> str:
    """Return the first sentence of a module's docstring on one line."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    sentence, dot, _ = text.partition(". ")
    return (sentence + dot).strip().replace("|", "\\|")


def page() -> str:
    """Return the whole page."""
    found = edges(grimp.build_graph("services", exclude_type_checking_imports=True, cache_dir=None))

    def short(name: str) -> str:
        return name.removeprefix(f"{DOMAIN}.")

    lines = [_INTRODUCTION, "```mermaid", "graph TD"]
    lines += [f"    {short(one)} --> {short(other)}" for one, other in direct(found)]
    lines += ["```", ""]
    folder = ROOT / DOMAIN.replace(".", "/")
    for name in map(short, found):
        modules = sorted((folder / name).glob("*.py")) if (folder / name).is_dir() else [folder / f"{name}.py"]
        lines += [f"## {name}", "", "| module | what it is for |", "|---|---|"]
        lines += [f"| `{path.relative_to(folder)}` | {first_line(path)} |" for path in modules if first_line(path)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
