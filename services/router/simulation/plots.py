"""Draw results: service level over the day, and the distribution of waits; as PNG, and with characters in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from services.router.simulation.distributions import Vector
from services.router.simulation.results import CURVE, Results

_COLOURS: Final = ("#1f6f8b", "#c8553d")
_MARKERS: Final = ("braille", "*")


def png(results: Results, path: Path) -> None:
    """Write a picture of 1200 x 900 points. Raises OSError where it cannot be written."""
    import matplotlib as mpl  # a second to load, and only for this

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(10, 7.5), dpi=120, layout="constrained")
    hours = results.question.scenario.period / 3_600_000
    for case, colour in zip(results.cases, _COLOURS, strict=False):
        value, half = case.by_period()
        at = (np.arange(len(value)) + 0.5) * hours
        above.plot(at, 100 * value, color=colour, label=case.label, marker="." if len(value) < 100 else "")
        above.fill_between(at, *shares(value, half), color=colour, alpha=0.2, linewidth=0)
        waits, percent = case.waits(), np.linspace(0, 100, CURVE)
        below.plot(waits.curve(CURVE), percent, color=colour, label=case.label)
        below.fill_betweenx(percent, *waits.band(CURVE, results.confidence), color=colour, alpha=0.2, linewidth=0)
    above.set(xlabel="hours from the start", ylabel="answered in time, % of offered", ylim=(0, 102))
    above.set_title(results.question.scenario.name or "service level")
    below.set(xlabel="wait, s", ylabel="% wait no longer")
    below.set_xscale("symlog", linthresh=1)
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    try:
        figure.savefig(path)
    finally:
        pyplot.close(figure)


def shares(value: Vector, half: Vector) -> tuple[Vector, Vector]:
    """Return the ends of the intervals of shares, in percent. An interval of Student's may go beyond what a share can be: it is clipped."""
    return np.clip(100 * (value - half), 0, 100), np.clip(100 * (value + half), 0, 100)


def terminal(results: Results, width: int = 80) -> str:
    """Draw the service level over the day, or the distribution of waits when there is only one period; without colours."""
    from plotext import figure  # type: ignore[import-untyped]  # it ships no types

    figure.clear()
    figure.plot_size(width, 18)
    hours = results.question.scenario.period / 3_600_000
    periods = len(results.cases[0].by_period()[0])
    for case, marker in zip(results.cases, _MARKERS, strict=False):
        if periods > 1:
            value, _ = case.by_period()
            known = ~np.isnan(value)
            across, up = ((np.arange(periods) + 0.5) * hours)[known], 100 * value[known]
        else:
            across, up = case.waits().curve(CURVE), np.linspace(0, 100, CURVE)
        figure.draw(figure.signal(across.tolist(), up.tolist(), marker=marker).lines().label(case.label))
    figure.ruler(axis=1, side=0).lim(0, 100)
    figure.title(
        "answered in time, % of offered, by hours from the start"
        if periods > 1
        else "% that wait no longer than N seconds"
    )
    return str(figure.build().string(colorless=True))
