"""docs/decisions/README.md: the index of the decisions.

`python -m docs.generate.decisions` prints it; a test compares it with the file.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DECISIONS: Final = Path(__file__).parents[1] / "decisions"
AREAS: Final = {
    "project": "libraries, tools, tests",
    "platform": "lanes, topics, Kafka, calls between services",
    "ingest": "channels, conversations, sending",
    "router": "the routing engine",
    "sla": "targets, forecasts, measures",
    "feedback": "surveys, responses, scores",
    "security": "hostile input, callers, tokens, secrets, audit",
    "privacy": "personal data, erasure, retention",
    "operations": "installation, rights on Kafka, alerts",
}
"""The closed list of areas, with what belongs to each."""
_HEAD: Final = re.compile(
    r"# (?P<number>\d{4}): (?P<title>\S[^\n]*)\n\n"
    r"Status: (?P<status>proposed|accepted|superseded by \d{4})\. Date: (?P<date>\d{4}-\d\d-\d\d)\. Area: (?P<area>[a-z]+)\."
    r"(?: [^\n]+)?\n\n## "
)
_SECTION: Final = re.compile(r"^## (.+)\n\n(?=\S)", re.MULTILINE)
_ORDERS: Final = (["Context", "Decision", "Consequences"], ["Context", "Decision", "Rejected", "Consequences"])
_INTRODUCTION: Final = """\
# Decisions

Each file records one decision: its context, the decision, and its consequences. For example,
[0002](0002-kafka-without-docker.md) says why tests run a real Kafka, and how it starts without Docker.
Numbers are names, not an order in time; the date is in the file.
[CONTRIBUTING](../../CONTRIBUTING.md) says how to propose a decision.

`make docs` writes this page from the files; a test compares.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, as the head of its file states it."""

    file: str
    number: int
    title: str
    status: str
    date: str
    area: str


def parse(path: Path) -> Decision:
    """Read one file. Raises ValueError with what does not have the form of a decision."""
    text = path.read_text(encoding="utf-8")
    head = _HEAD.match(text)
    if head is None:
        raise ValueError(f"{path.name}: the head is not '# NNNN: Title', 'Status: … Date: … Area: …', '## Context'")
    if head["number"] != path.name[:4] or path.name[4] != "-":
        raise ValueError(f"{path.name}: the title has the number {head['number']}")
    if head["area"] not in AREAS:
        raise ValueError(f"{path.name}: {head['area']!r} is not an area; the areas are {', '.join(AREAS)}")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    if headings not in _ORDERS or headings != _SECTION.findall(text):
        raise ValueError(f"{path.name}: the sections are {headings}, or one of them is empty")
    return Decision(path.name, int(head["number"]), head["title"], head["status"], head["date"], head["area"])


def decisions(folder: Path = DECISIONS) -> list[Decision]:
    """All decisions, by number. Raises ValueError as `parse` does."""
    return [parse(path) for path in sorted(folder.glob("*.md")) if path.name != "README.md"]


def render() -> str:
    """The content of docs/decisions/README.md."""
    found = decisions()
    lines = [_INTRODUCTION, "| area | decisions about |", "|---|---|"]
    lines += [f"| {area} | {meaning} |" for area, meaning in AREAS.items()]
    lines += ["", "| number | title | status | area | date |", "|---|---|---|---|---|"]
    lines += [f"| [{d.number:04}]({d.file}) | {d.title} | {d.status} | {d.area} | {d.date} |" for d in found]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
