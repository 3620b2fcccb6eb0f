"""Every duration of the shipped files becomes shorter, and nothing else changes."""

import re

import pytest

from tests.alerts.scaling import milliseconds, shorter, shorter_expression, shorter_file
from tests.alerts.shipped import ALERTMANAGER, PROMETHEUS, RULES, read

DURATION = re.compile(r"\b(?:\d+(?:ms|[smhdwy]))+\b")


@pytest.mark.parametrize(
    ("duration", "expected"), [("90s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("1d", 86_400_000)]
)
def test_durations_are_read_as_prometheus_reads_them(duration: str, expected: int) -> None:
    assert milliseconds(duration) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5m ago", "1.5h"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        milliseconds(text)


def test_a_duration_never_becomes_nothing() -> None:
    """A rule with a window of nothing would see nothing."""
    assert shorter("1ms", 30) == "1ms"
    assert shorter("2m", 30) == "4000ms"


def test_ranges_offsets_and_steps_of_an_expression_become_shorter() -> None:
    """Numbers, names of series and quoted texts stay."""
    before = 'max_over_time(x:increase15m{job="5m"}[1h:1m] offset 12h) > 14.4 * 0.001 or time() - y > 3600'
    after = (
        'max_over_time(x:increase15m{job="5m"}[120000ms:2000ms] offset 1440000ms) > 14.4 * 0.001 or time() - y > 3600'
    )
    assert shorter_expression(before, 30) == after


@pytest.mark.parametrize("path", [*RULES, PROMETHEUS, ALERTMANAGER], ids=lambda path: path.name)
def test_no_duration_of_a_shipped_file_stays(path: object) -> None:
    """All durations of a file, wherever they are, are milliseconds afterwards, and there are as many as before."""
    content = read(path)  # type: ignore[arg-type]  # a parameter
    before, after = _durations(content), _durations(shorter_file(content, 30))
    assert len(before) == len(after) > 0
    assert [each for each in after if not each.endswith("ms")] == []
    assert sum(map(milliseconds, after)) == pytest.approx(sum(map(milliseconds, before)) / 30, rel=0.01)


def _durations(content: object) -> list[str]:
    """Return all words of a file that look like durations, except in texts for people."""
    if isinstance(content, dict):
        return [each for name, value in content.items() if name != "annotations" for each in _durations(value)]
    if isinstance(content, list):
        return [each for value in content for each in _durations(value)]
    return DURATION.findall(content) if isinstance(content, str) else []
