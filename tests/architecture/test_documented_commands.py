"""Each `chapar` command that a page shows exists, with its options."""

from pathlib import Path

import pytest

from tests.architecture.documented_commands import path_of, written

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.fa.md",
    ROOT / "deploy/runbooks/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/operating").glob("*.md")),
    *sorted((ROOT / "docs/channels").glob("*.md")),
]
PAGE = """Run `chapar queues`, or
`chapar sla at-risk --queue
QUEUE`, but not `chapar`. `chapar_lane` is a metric, and ``chapar no`` is not shown.

    helm install chapar deploy/helm/chapar
    kubectl exec deploy/x -- chapar deadletters list | head   # a comment
    $ .venv/bin/chapar replay \\
        --state FILE
    curl -H "Bearer $(chapar token)" 'https://…'

```sh
chapar token revoke --agent "a b"     # chapar nothing
```
"""


def test_commands_are_found_where_a_page_shows_them() -> None:
    """In spans that go on in the next line, in both kinds of blocks, behind and inside other commands, and with continued lines."""
    found = {str(each): each.line for each in written(PAGE)}
    assert found == {
        "queues": 1,
        "sla at-risk --queue QUEUE": 2,
        "deadletters list": 6,
        "replay --state FILE": 8,
        "token": 9,
        "token revoke --agent 'a b'": 12,
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_documented_command_exists(path: Path) -> None:
    """A renamed command or option is found here, and not by an operator at night."""
    wrong = []
    for each in written(path.read_text(encoding="utf-8")):
        try:
            path_of(each.words)
        except ValueError as error:
            wrong.append(f"{path.name}:{each.line}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "words", ["deadletters bury", "queues --poool", "nothing", "sla at-risk --queue=x --least-of 3"]
)
def test_a_command_or_option_that_does_not_exist_is_refused(words: str) -> None:
    """At each level: a group, a command of a group, an option."""
    with pytest.raises(ValueError, match=r"there is no command|has no option"):
        path_of(words.split())


def test_a_command_is_named_by_its_path() -> None:
    """Also when a group has a command that needs no name, and when a page names the group alone."""
    assert path_of(["simulate", "day.yaml", "--find-staff", "80/20"]) == ("simulate", "run")
    assert path_of(["simulate", "record", "x.csv"]) == ("simulate", "record")
    assert path_of(["token", "--role", "agent"]) == ("token",)
    assert path_of(["sla"]) == ("sla",)
