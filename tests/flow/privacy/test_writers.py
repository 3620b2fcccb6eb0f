"""No module writes personal words in clear; with its sealing switched off, the same search finds them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.privacy import MemoryKeys
from tests.flow.privacy.writers import CHANGELOGS, WRITERS, notices_that_wait

ROOT = Path(__file__).parents[3]


def modules_that_import(module: str, *names: str) -> Iterator[str]:
    """Modules of the services, the privacy package excepted, that import one of these names from there."""
    for path in sorted((ROOT / "services").rglob("*.py")):
        if path.is_relative_to(ROOT / "services/chassis/privacy"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == module and {a.name for a in node.names} & {*names}:
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def plain(record: Any, *_: object) -> bytes:
    """In place of `seal` and `bare`."""
    return bytes(record.SerializeToString())


def test_every_module_that_seals_is_here() -> None:
    """Found by what it imports, so that a new writer can't be forgotten."""
    sealing = "services.chassis.privacy.sealing"
    assert set(modules_that_import(sealing, "seal", "bare", "seal_entry")) == set(WRITERS)
    assert set(modules_that_import("services.chassis.privacy.lanes", "EntryKeys")) == set(CHANGELOGS)


@pytest.mark.parametrize("module", WRITERS)
async def test_nothing_personal_is_written_in_clear(module: str) -> None:
    """Records, retries, dead letters, changelogs."""
    assert not (await WRITERS[module](MemoryKeys())).in_clear


@pytest.mark.parametrize("module", WRITERS)
async def test_a_module_that_does_not_seal_is_found(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search above is able to find: it does, when this module writes its records as they are."""
    monkeypatch.setattr(f"{module}.seal", plain)
    assert (await WRITERS[module](MemoryKeys())).in_clear


@pytest.mark.parametrize(
    "module", [name for name in WRITERS if name.endswith(("command_log", "survey_lane", "publisher"))]
)
async def test_words_of_a_person_without_a_key_are_left_out(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that can't be sealed is written without its words; with `bare` switched off the search finds them."""
    monkeypatch.setattr(f"{module}.bare", plain)
    assert (await WRITERS[module](MemoryKeys())).in_clear


@pytest.mark.parametrize("module", CHANGELOGS)
async def test_a_changelog_that_is_not_sealed_is_found(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, for entries of changelogs."""
    assert not (await CHANGELOGS[module](MemoryKeys())).in_clear
    monkeypatch.setattr(f"{module}.EntryKeys.sealed", lambda _self, _entry, value, _key: value)
    assert (await CHANGELOGS[module](MemoryKeys())).in_clear


async def test_a_notice_that_waits_is_sealed_with_the_key_of_its_answer() -> None:
    """No other key is made for it: an erasure, which destroys the answer's key, takes the notice along."""
    keys = MemoryKeys()
    await notices_that_wait(keys)
    assert list(keys.newest) == [("parsa", "person-1")]
