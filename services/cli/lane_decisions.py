"""What an operator decides about one partition of a lane, and what that loses or repeats. Pure.

Each function returns a plan for a situation, or raises FAILED_PRECONDITION when the decision would be unsafe. A plan is made twice: to
show it before it is confirmed, and inside the claim that carries it out. If the second is another one, nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.intervention import Repair, Situation
from services.chassis.reasons import Reason as Lost
from services.cli.lane_table import EFFECTS
from services.cli.reasons import Reason

_LONGEST: Final = 19
"""Digits of an offset."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision. `says`: sentences for the operator. Numbers are of records; `position` is None when the changelog has none."""

    repair: Repair
    position: int | None
    left_out: int
    again: int
    forgotten: int
    says: tuple[str, ...]


def reset(lane: LaneSpec, situation: Situation, to: str) -> Plan:
    """Plan to continue at an offset, `start` or `end`; the state stays as it is."""
    _stopped(lane, situation)
    now, last = situation.input, situation.found.position
    target = _offset(lane, situation, to)
    effects = EFFECTS[lane.name]
    known, reason = _handled_to(situation), situation.loss.reason if situation.loss is not None else ""
    left_out = max(0, target - max(now.begin, known))
    again = max(0, min(known, now.end) - target)
    says = [f"{lane.name}/{situation.partition} continues at {target} of {lane.input} ({now.begin} to {now.end})."]
    if situation.loss is not None:
        says.append(f"{situation.loss.reason}: {situation.loss.detail}.")
    if left_out:
        says.append(f"{left_out} records are left out. {effects.left_out}")
    if again:
        says.append(f"{again} records are handled again. {effects.repeated}")
    if reason == Lost.INPUT_TAIL_LOST and now.end > known:
        says.append(
            f"Records that were written after the cut to offsets below {known} are left out too, unless the lane continues there."
        )
    if reason == Lost.CHANGELOG_LOST:
        says.append(
            f"The lane goes on with the {len(situation.found.entries)} entries that its changelog has. {effects.forgotten}"
        )
    return Plan(Repair(target), None if last is None else last.offset, left_out, again, 0, tuple(says))


def rebuild(lane: LaneSpec, situation: Situation) -> Plan:
    """Plan to forget the state and to read the input from its beginning."""
    effects, now, last = EFFECTS[lane.name], situation.input, situation.found.position
    if not effects.rebuilds:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.REBUILD_REPEATS,
            f"{lane.name} cannot be rebuilt. {effects.repeated} Use `chapar lanes reset {lane.name} {situation.partition} --to end` "
            "to go on with new records only",
        )
    _stopped(lane, situation)
    entries = len(situation.found.entries)
    says = [
        f"{lane.name}/{situation.partition} forgets {entries} entries and reads {lane.input} again, {now.begin} to {now.end}.",
        effects.forgotten,
        effects.repeated,
    ]
    if now.begin:
        says.append(f"The first {now.begin} records no longer exist: what began in them stays unknown.")
    return Plan(
        Repair(now.begin, forget=True),
        None if last is None else last.offset,
        0,
        now.end - now.begin,
        entries,
        tuple(says),
    )


def skip(lane: LaneSpec, situation: Situation, offset: int) -> Plan:
    """Plan to leave one record out: it becomes a dead letter when the lane comes to it. Safe while the lane works."""
    found, now = situation.found, situation.input
    if situation.loss is not None:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.LANE_REFUSES,
            f"{lane.name}/{situation.partition} does not start: {situation.loss.reason}: {situation.loss.detail}; "
            "decide with `chapar lanes reset` first",
        )
    begin = now.begin if found.position is None else max(now.begin, found.position.offset)
    if not begin <= offset < now.end:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.OFFSET_OUT_OF_RANGE,
            f"{lane.name}/{situation.partition} has records {begin} to {now.end - 1} before it, so {offset} cannot be skipped",
        )
    skips = {each for each in (found.claim.skips if found.claim is not None else ()) if each >= begin} | {offset}
    says = [
        f"{lane.name}/{situation.partition} leaves record {offset} of {lane.input} out: it becomes a dead letter "
        "(SKIPPED_BY_OPERATOR), which `chapar deadletters replay` can put back.",
        EFFECTS[lane.name].left_out,
    ]
    if situation.works:
        says.append(f"{situation.owner} takes its partitions over again, which stops them for a moment.")
    repair = Repair(skips=tuple(sorted(skips)))
    return Plan(repair, None if found.position is None else found.position.offset, 1, 0, 0, tuple(says))


def _handled_to(situation: Situation) -> int:
    """Return the offset up to which the lane has handled the records of this log, as far as anything knows."""
    now, last = situation.input, situation.found.position
    if situation.loss is not None and situation.loss.reason == Lost.INPUT_RECREATED:
        return now.begin  # offsets of a log that is gone say nothing about this one
    if last is not None:
        return last.offset
    return now.witness.offset if now.witness is not None else now.committed or now.begin


def _offset(lane: LaneSpec, situation: Situation, to: str) -> int:
    now = situation.input
    match to:
        case "start":
            return now.begin
        case "end":
            return now.end
        case _ if to.isascii() and to.isdigit() and len(to) <= _LONGEST and now.begin <= int(to) <= now.end:
            return int(to)
        case _:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.OFFSET_OUT_OF_RANGE,
                f"--to is start, end or an offset from {now.begin} to {now.end} of {lane.input}/{situation.partition}, not {to}",
            )


def _stopped(lane: LaneSpec, situation: Situation) -> None:
    """Raise FAILED_PRECONDITION LANE_WORKS unless no lane works on the partition, or it waits for this decision."""
    if situation.works:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.LANE_WORKS,
            f"{situation.owner} works on {lane.name}/{situation.partition}: stop every replica of the service first. "
            "A partition that its lane refuses can be decided while the service runs",
        )
