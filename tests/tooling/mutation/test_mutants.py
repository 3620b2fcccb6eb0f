"""The tool that changes the engine: what it changes and leaves alone, and that it tells killed from survived."""

from pathlib import Path

import pytest

from tests.mutation.__main__ import stages, wilson
from tests.mutation.mutants import Source
from tests.mutation.trial import Outcome, Stage, judge, root

TEXT = '''"""A module."""

from dataclasses import dataclass

persons_kept: int = 8


@dataclass(frozen=True)
class Thing:
    """Some thing."""

    __slots__ = ("a",)
    a: int = 1

    @property
    def twice(self) -> int:
        """Twice."""
        assert self.a != 3
        return self.a * 2


def note(marks: dict[str, None], thing: Thing) -> str:
    marks["x"] = None
    marks.update({})
    if len("abc" + "d") < 0:
        return "never"
    return "a text for people"
'''


def test_each_mutant_is_one_change_and_still_python() -> None:
    source = Source("some/module.py", TEXT)
    assert [mutant.number for mutant in source.mutants] == list(range(len(source.mutants)))
    for mutant in source.mutants:
        text = source.text(mutant)
        compile(text, "module.py", "exec")
        changed = [
            n for n, pair in enumerate(zip(TEXT.splitlines(), text.splitlines(), strict=True)) if len(set(pair)) > 1
        ]
        assert changed == [mutant.line - 1]


def test_what_is_changed_and_what_is_left_alone() -> None:
    """Also what a decorated function does, a default, a statement that is dropped; not annotations, decorators, slots, bounds of memory, docstrings,
    texts for people, assertions, the values of a dict that is a set, or what stands in `len`."""
    changes = [(mutant.before, mutant.after) for mutant in Source("module.py", TEXT).mutants]
    assert changes == [
        ("a: int = 1", "a: int = None"),
        ("1", "2"),
        ("self.a * 2", "self.a / 2"),
        ("2", "3"),
        ('marks["x"] = None', "pass"),
        ('"x"', '"XXxXX"'),
        ('"x"', '"X"'),
        ("marks.update({})", "pass"),
        ("marks.update({})", "marks.update(None)"),
        ("< 0", "<= 0"),
        ("0", "1"),
        ('"never"', '"XXneverXX"'),
        ('"never"', '"NEVER"'),
    ]


def test_a_mutant_is_killed_survives_or_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged in a process of its own, by the stage that finds it first; the file itself is never touched."""
    (tmp_path / "small_thing.py").write_text("def double(n: int) -> int:\n    return n * 2\n")
    for name, n in (("test_nothing.py", 0), ("test_double.py", 2)):
        (tmp_path / name).write_text(
            f"import small_thing\n\ndef test_it() -> None:\n    assert small_thing.double({n}) == {2 * n}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    plan = tuple(Stage(name, (str(tmp_path / f"test_{name}.py"),), 20) for name in ("nothing", "double"))

    def judged(body: str, cpu_s: int = 20) -> tuple[Outcome, str]:
        text = f"def double(n: int) -> int:\n    {body}\n"
        return judge("small_thing.py", text, tuple(Stage(s.name, s.tests, cpu_s) for s in plan))

    assert judged("return n + n") == (Outcome.SURVIVED, "")
    assert judged("return n * 3") == (Outcome.KILLED, "double")
    assert judged("return 1") == (Outcome.KILLED, "nothing")
    assert judged("while True: pass", 1) == (Outcome.TIMED_OUT, "nothing")


def test_every_file_of_the_stages_is_there_and_none_starts_processes() -> None:
    """A process of its own would see the engine as it is."""
    files = [root() / test for stage in stages() for test in stage.tests]
    assert all(file.exists() for file in files)
    names = {file.name for file in files}
    assert {"test_rules.py", "test_oracle.py", "test_machine.py", "test_fuzz.py", "test_written.py"} <= names
    assert not names & {"test_command.py", "test_elsewhere.py"}


def test_the_interval_is_wilsons() -> None:
    assert wilson(7, 20) == pytest.approx((0.1812, 0.5671), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
