"""Entry point of `chapar simulate`: `python -m services.router.simulation SCENARIO …`.

Exit codes: 0 done, 1 the scenario cannot be run, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.router.simulation import plots, reading, recorded, report, report_search, staff_search, targets
from services.router.simulation import scenario as sc
from services.router.simulation.floor import RefusedError
from services.router.simulation.plan import Plan, shift_name
from services.router.simulation.policy import Policy
from services.router.simulation.reading import ScenarioError
from services.router.simulation.replications import Case, DisagreementError, Laboratory, Question, WorkerError
from services.router.simulation.replications import Progress as Done
from services.router.simulation.results import Case as Observed
from services.router.simulation.results import Results
from services.router.simulation.shortcut import refusal

_SEARCHING = "searching"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. Policies come as serialised `TenantConfiguration`s: `chapar` converts them from YAML."""
    made = argparse.ArgumentParser(prog="python -m services.router.simulation", description=__doc__)
    made.add_argument("scenario", type=Path, nargs="?", help="YAML file")
    made.add_argument("--schema", action="store_true", help="print the JSON Schema of scenarios instead")
    made.add_argument("--policy", type=Path, help="TenantConfiguration, serialised")
    made.add_argument("--against", type=Path, help="another TenantConfiguration, to compare with")
    made.add_argument("--policy-name", default="", help="name of the policy in the results")
    made.add_argument("--against-name", default="")
    made.add_argument("--staff", action="append", type=_size, default=[], metavar="GROUP=N")
    made.add_argument("--against-staff", action="append", type=_size, default=[], metavar="GROUP=N")
    made.add_argument("--replications", type=int)
    made.add_argument("--seed", type=int)
    made.add_argument("--confidence", type=_confidence, default=0.95)
    made.add_argument("--processes", type=int, help="default: one for each core")
    made.add_argument(
        "--shortcut",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="decide plain pools without the engine, except in the first replication, which both decide",
    )
    made.add_argument("--find-staff", action="append", default=[], metavar="[TYPE=]80/20")
    made.add_argument("--group", default="", help="with --find-staff: vary only this group")
    made.add_argument("--each", action="store_true", help="with --find-staff: the target holds for each type")
    made.add_argument("--each-shift", action="store_true", help="with --find-staff: vary each shift on its own")
    made.add_argument("--plot", type=Path, metavar="FILE.png")
    made.add_argument("--graph", action="store_true", help="draw a graph in the terminal")
    made.add_argument("--json", action="store_true", dest="as_json")
    return made


def _size(text: str) -> tuple[str, int]:
    name, equals, number = text.rpartition("=")
    if not equals or not number.isdecimal() or int(number) > sc.MOST_AGENTS:
        raise argparse.ArgumentTypeError(f"must be like GROUP=12 (at most {sc.MOST_AGENTS}), not {text!r}")
    return name, int(number)


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0.5 and 1, not {text!r}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    given = parser().parse_args(arguments)
    errors = Console(stderr=True)
    if given.schema:
        sys.stdout.write(reading.schema_text())
        return 0
    if given.scenario is None:
        parser().error("a scenario is missing")
    try:
        _answer(given, errors)
    except (ScenarioError, staff_search.UnreachableError, WorkerError, ValueError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except DisagreementError as error:
        errors.print(str(error), markup=False)
        return 1
    except RefusedError as error:
        errors.print(f"the engine refused a command of the simulator, which is a bug: {error}", markup=False)
        return 1
    except OSError as error:
        errors.print(f"{error.filename}: {error.strerror}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped")
        return 130
    return 0


def _answer(given: argparse.Namespace, errors: Console) -> None:
    question, cases, names = _question(given)
    wanted = targets.target(given.find_staff, question, each=given.each) if given.find_staff else None
    if wanted is not None and len(cases) > 1:
        raise ValueError("--find-staff searches the staffing of one policy: it cannot be combined with --against")
    question = targets.asked_of(question, wanted) if wanted is not None else question
    with Laboratory(question, given.processes) as laboratory:
        if wanted is not None:
            with _progress(errors, None) as done:
                search = staff_search.Search(
                    laboratory, wanted, given.confidence, given.group, done, each_shift=given.each_shift
                )
                found = search.run()
            observed = [list(found.least.observed)]
            staffing = [dict(found.least.sizes)]
        else:
            found = None
            with _progress(errors, len(cases) * question.scenario.replications) as done:
                observed = laboratory.run(cases, done=done)
            peaks = {name: sc.peak(group) for name, group in question.scenario.groups.items()}
            staffing = [{**peaks, **dict(case.sizes)} for case in cases]
        plan = laboratory.plan(Case(sizes=tuple(sorted(staffing[0].items()))) if found is not None else cases[0])
    within = {name: threshold.within / 1_000 for name, threshold in zip(plan.types, plan.thresholds, strict=True)}
    if found is not None:
        ran = {"replications": len(found.least.observed)}
        question = replace(question, scenario=question.scenario.model_copy(update=ran))
    seen = [Observed(*one, within) for one in zip(names, observed, staffing, strict=True)]
    plans = [plan] if found is not None else [laboratory.plan(case) for case in cases]
    results = Results(question, tuple(seen), given.confidence, _not_plain(plans, names) if given.shortcut else None)
    _show(given, results, found)


def _not_plain(plans: Sequence[Plan], names: Sequence[str]) -> str:
    """Return why the engine decided everything, for each of two cases; empty when it did not."""
    reasons = [refusal(plan) for plan in plans]
    if len(reasons) == 1 or all(reasons):
        return reasons[0]
    return "; ".join(f"{reason} (of `{name}`)" for reason, name in zip(reasons, names, strict=True) if reason)


def _question(given: argparse.Namespace) -> tuple[Question, list[Case], list[str]]:
    scenario = reading.read(given.scenario)
    changes = {"replications": given.replications, "seed": given.seed}
    for name, value in changes.items():
        if value is not None and not 0 < value <= (10_000 if name == "replications" else 2**63 - 1):
            raise ValueError(f"--{name} {value} is out of range")
    scenario = scenario.model_copy(update={name: value for name, value in changes.items() if value is not None})
    if given.plot is not None and not given.plot.parent.is_dir():
        raise ValueError(f"{given.plot.parent} is not a directory")
    for name, _ in (*given.staff, *given.against_staff):
        if name not in _sizes(scenario):
            raise ValueError(
                f"`{name}` is not a group of the scenario; there are {', '.join(scenario.groups) or 'none'}"
            )
    if given.policy is None and (scenario.policy or scenario.queues is not None):
        raise ValueError("the scenario's policy is YAML: `chapar simulate` converts it for --policy")
    recording = None
    if scenario.arrivals_file is not None:
        path = given.scenario.parent / scenario.arrivals_file
        recording = recorded.read(path, start=scenario.start, duration=scenario.duration)
    policies: list[Policy | None] = [_policy(given.policy, scenario.pool)]
    cases, names = [Case(0, tuple(given.staff))], [given.policy_name or "as it is"]
    if given.against is not None or given.against_staff:
        if given.against is not None:
            policies.append(_policy(given.against, scenario.pool))
        cases.append(Case(len(policies) - 1, tuple({**dict(given.staff), **dict(given.against_staff)}.items())))
        names.append(given.against_name or "changed")
    return Question(scenario, tuple(policies), recording, given.shortcut), cases, names


def _sizes(scenario: sc.Scenario) -> set[str]:
    """Return the names that have a size: groups and their shifts."""
    shifts = {name: len(group.shifts or ()) for name, group in scenario.groups.items()}
    return {*shifts, *(shift_name(name, place) for name, count in shifts.items() for place in range(count))}


def _policy(path: Path | None, pool: str) -> Policy | None:
    return None if path is None else Policy(path.read_bytes(), pool)


@contextmanager
def _progress(errors: Console, total: int | None) -> Iterator[Done]:
    """Show a progress bar on standard error when it is a terminal. `total` None: the length of a search is not known in advance."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("replications" if total is not None else _SEARCHING, total=total)
        yield lambda: progress.advance(task)


def _show(given: argparse.Namespace, results: Results, found: staff_search.Found | None) -> None:
    if given.plot is not None:
        plots.png(results, given.plot)
    if given.as_json:
        data = results.data()
        if found is not None:
            data["least_staffing"] = report_search.data(found)
        json.dump(data, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
        return
    out = report.console(to_terminal=sys.stdout.isatty())
    if found is not None:
        out.print(report_search.report(found, given.confidence))
    out.print(report.report(results))
    if given.graph:
        out.print(plots.terminal(results, min(100, out.width)), markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
