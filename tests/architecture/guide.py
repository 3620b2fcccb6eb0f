"""The pages of the operators' guide, and the commands in their blocks.

The first line of a block of commands names the check that runs it, for example:

    ```sh by=kube-check
    kubectl -n contact get pods
    ```

Words in capitals, such as INTERACTION, are places for values: the check that runs the command has a value for each.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    ROOT / f"docs/{name}.md"
    for name in (
        *("operating/install", "operating", "operating/commands", "scaling", "operating/watch", "operating/tokens"),
        *(
            "operating/backup",
            "operating/rotation",
            "operating/outages",
            "operating/personal-data",
            "operating/changes",
        ),
    )
)
"""In the order in which a check follows them: from the installation to the removal."""
RUNBOOKS: Final = ROOT / "deploy/runbooks/README.md"
CHECKS: Final[Mapping[str, str]] = {
    "guide": "tests/integration/guide/test_guide.py",
    "acl-check": "tests/integration/broker/test_rights.py",
    "kube-check": "tests/kube/guide.py",
    "image-check": "tests/image/guide.py",
}
"""The checks that run commands of the guide, and the module of each that reads them from the pages."""
PROGRAMS: Final = (
    "chapar",
    "docker",
    "helm",
    "kubectl",
    "make",
    "openssl",
    "psql",
    "pg_dump",
    "pg_restore",
    "python",
    "tar",
)
"""Programs whose commands in the text of a page are taken for commands of the operator."""
_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_PLACE: Final = re.compile(r"(?<![\w$-])[A-Z]{2,}(?!\w|=)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    """The line of its fence."""
    language: str
    by: str
    """The check that runs it; empty if the block names none."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the text with values for the words in capitals. Raises KeyError for a word without a value."""
        return _PLACE.sub(lambda found: values[found[0]], self.text)

    def commands(self) -> list[str]:
        """Return its commands without comments, a command that goes on in the next line as one line."""
        found: list[str] = []
        open_ = ""
        for line in self.text.splitlines():
            open_ = f"{open_}\n{line}" if open_ else line
            try:
                words = shlex.split(open_.removesuffix("\\"), comments=True)
            except ValueError:  # a quotation goes on in the next line
                continue
            if open_.endswith("\\"):
                continue
            if words:
                found.append(re.sub(r"\\\n\s*", "", open_).strip())
            open_ = ""
        assert not open_, f"{self}: the last command does not end"
        return found


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    inside: list[str] | None = None
    begun, info, indent = 0, "", ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            begun, info, indent, inside = number, fence["info"].strip(), fence["indent"], []
        elif inside is not None and fence and not fence["info"].strip():
            language, _, rest = info.partition(" ")
            by = re.fullmatch(r"by=(\S+)", rest.strip())
            yield Block(page, begun, language, by[1] if by else "", "\n".join(inside) + "\n")
            inside = None
        elif inside is not None:
            inside.append(line.removeprefix(indent))
    assert inside is None, f"{page.name}:{begun}: the block does not end"


def blocks_by(check: str) -> list[Block]:
    """Return the blocks of the guide that a check runs, in the order of the pages. A check without one has no reason to ask."""
    assert check in CHECKS, check
    found = [block for page in PAGES for block in blocks(page) if block.by == check]
    assert found, f"the guide has no block for {check}"
    return found


def spans(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the commands in the text of a page, with their lines: code spans of a program of PROGRAMS with at least one word more."""
    inside = False
    prose = []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line) is not None
        inside ^= fence
        prose.append("" if inside or fence else line)
    text = "\n".join(prose)
    for span in _SPAN.finditer(text):
        words = span[1].split()
        if len(words) > 1 and words[0] in PROGRAMS:
            yield text.count("\n", 0, span.start()) + 1, " ".join(words)
