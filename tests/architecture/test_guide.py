"""Each command of the operators' guide is run by a check, and each procedure says what an operator needs to know at night."""

import re
import shlex
from pathlib import Path

import pytest

from tests.architecture.documented_commands import path_of
from tests.architecture.guide import CHECKS, PAGES, PROGRAMS, ROOT, Block, blocks, spans

LANGUAGES = {"promql", "text", "yaml"}
"""Languages of blocks that are not commands."""
CANNOT_RUN = {
    "docker compose -f deploy/compose.yaml up --build": "the containers of the file run in image-check, without the compose plug-in",
    "docker compose -f deploy/compose.yaml --profile monitoring up": "its image comes from a registry",
    "docker buildx imagetools inspect python:3.11.14-bookworm --format '{{.Manifest.Digest}}'": "asks a registry",
    "docker buildx imagetools inspect python:3.11.14-slim-bookworm --format '{{.Manifest.Digest}}'": "asks a registry",
    "make image TAG=registry.example/chapar:1.2.3 "
    "BUILD_IMAGE=python:3.11.14-bookworm@sha256:… "
    "BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:…": "pulls base images by their digests",
}
"""Commands that no machine without a registry of images can run, and why. They are in blocks `by=nothing`."""
PROCEDURES = {
    "docs/operating/outages.md": ("Symptom", "Look", "Do", "Lost", "Over"),
    "docs/operating/backup.md": ("When", "Do", "Lost", "Over"),
    "docs/operating/rotation.md": ("When", "Do", "Lost", "Over"),
    "docs/operating/changes.md": ("When", "Do", "Lost", "Over"),
    "docs/operating/personal-data.md": ("When", "Do", "Lost", "Over"),
}
"""The pages of procedures, and the paragraphs that each of their sections begins with these words in bold."""
TABLES = {"What can be restored from what"}
"""Sections of these pages that are not procedures."""


def _blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks(page)]


def test_every_page_of_the_guide_is_read() -> None:
    """A page that the list of pages lacks would be checked by nothing."""
    assert {path for path in PAGES if path.parent.name == "operating"} == set((ROOT / "docs/operating").glob("*.md"))


def test_every_block_of_commands_names_the_check_that_runs_it() -> None:
    """A block without a check, or with a check that does not exist, is a command that no test has seen."""
    wrong = [
        f"{block}: {block.language or 'no language'} by={block.by or 'nothing named'}"
        for block in _blocks()
        if (block.language == "sh") != bool(block.by)
        or block.language not in LANGUAGES | {"sh"}
        or (block.by and block.by not in {*CHECKS, "nothing"})
    ]
    assert wrong == []


def test_only_commands_that_need_a_registry_are_run_by_nothing() -> None:
    """Each has its reason, and each reason has its command."""
    shown = [command for block in _blocks() if block.by == "nothing" for command in block.commands()]
    assert sorted(shlex.join(shlex.split(command, comments=True)) for command in shown) == sorted(
        shlex.join(shlex.split(command)) for command in CANNOT_RUN
    )


@pytest.mark.parametrize(("check", "module"), CHECKS.items())
def test_each_check_reads_its_commands_from_the_pages(check: str, module: str) -> None:
    """The module of the check asks for the blocks by the check's name; without this a new block would be run by nothing."""
    assert re.search(rf'blocks_by\(\s*"{check}"', (ROOT / module).read_text()), module
    assert any(block.by == check for block in _blocks())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_command_is_hidden_in_an_indented_block(page: Path) -> None:
    """Only a fenced block can name its check."""
    lines = page.read_text().splitlines()
    fenced, wrong = False, []
    for number, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        alone = not lines[number - 1].strip() if number else True
        if (
            not fenced
            and alone
            and re.match(r" {4}\S", line)
            and line.split()[0] in (*PROGRAMS, "curl", "read", "export")
        ):
            wrong.append(f"{page.name}:{number + 1}: {line}")
    assert wrong == []


def test_a_command_in_the_text_is_also_in_a_block_or_run_by_itself() -> None:
    """The targets of make exist; acl-check runs every `chapar` command of the pages; everything else is shown in a block."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks_text = [command for block in _blocks() if block.by for command in block.commands()]
    wrong = []
    for page in PAGES:
        for line, command in spans(page):
            program, first, *_ = command.split()
            if program == "make":
                shown = first in targets
            elif program == "chapar":
                shown = True  # tests/integration/broker/test_rights.py fails for one that it cannot run
            else:
                shown = any(command in each for each in blocks_text)
            if not shown:
                wrong.append(f"{page.name}:{line}: {command}")
    assert wrong == []


def test_acl_check_is_asked_for_chapar_commands_only() -> None:
    """It runs what follows `chapar`, so it would leave out any other line."""
    for block in _blocks():
        if block.by == "acl-check":
            for command in block.commands():
                assert command.startswith("chapar "), f"{block}: {command}"
                path_of(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize(("page", "wanted"), PROCEDURES.items())
def test_each_procedure_says_what_an_operator_needs_at_night(page: str, wanted: tuple[str, ...]) -> None:
    """What shows it, what to look at, what to do, what is lost, and how to see that it is over: in this order."""
    sections = re.split(r"^## ", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    procedures = [section for section in sections if section.splitlines()[0] not in TABLES]
    assert procedures
    for section in procedures:
        named = re.findall(r"^\*\*(\w+)\*\*:", section, re.MULTILINE)
        assert tuple(named) == wanted, f"{page}, {section.splitlines()[0]}"
