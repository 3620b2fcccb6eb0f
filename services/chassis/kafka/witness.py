"""Whether a partition's changelog and input are the ones that its lane has worked with. Pure.

A changelog cannot show its own loss: an empty one looks like that of a first start. An input cannot either: a topic that was
deleted and created again grows until its end is beyond the old position. So each is compared with a witness that the other
fault does not touch:

- **The group's committed offset** has a text, the `Witness`: the position that was durable when it was committed. A changelog
  with an older position, or none, was deleted, emptied or cut. (Kafka deletes this witness together with the input.)
- **The claim in the changelog** names the id of the input's topic (`Claim.input`). Another id means another topic. It also
  names the id of its own topic and its first offset, for a changelog that was lost while an owner went on writing.
- **The input's end** must not be before the position.

If all topics and the group's offsets are gone, nothing is left that a lane could contradict: that is a first start.
"""

from dataclasses import dataclass
from typing import Final

from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.claims import Claim
from services.chassis.reasons import Reason

_MARK: Final = "chapar-lane-1"
_FIELDS: Final = 4
_LONGEST_NUMBER: Final = 19


@dataclass(frozen=True, slots=True)
class Witness:
    """What a group's committed offset says about the changelog: the ids and the position that it must have."""

    input: str
    """The id of the input's topic; empty when the brokers have no ids."""
    epoch: int
    offset: int
    """With `epoch`: the position that was durable. A later one has a larger epoch, or the same and an offset that is not smaller."""

    def encode(self) -> str:
        """Return the text to commit."""
        return f"{_MARK} {self.input or '-'} {self.epoch} {self.offset}"

    @staticmethod
    def decode(text: str) -> "Witness | None":
        """Parse the text; None for any other text, such as that of another tool."""
        fields = text.split(" ", _FIELDS)
        if len(fields) != _FIELDS or fields[0] != _MARK or not all(map(_is_number, fields[2:])):
            return None
        return Witness("" if fields[1] == "-" else fields[1], int(fields[2]), int(fields[3]))


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST_NUMBER and text.isascii() and text.isdigit()


@dataclass(frozen=True, slots=True)
class InputState:
    """One partition of a lane's input as the cluster shows it now, and what the group has committed for it."""

    id: str
    """The id of the topic; empty when the brokers have no ids."""
    begin: int
    """The first offset that exists."""
    end: int
    log: str = ""
    """The id of the changelog's topic, in the same way."""
    committed: int | None = None
    """The group's committed offset; None if there is none."""
    witness: Witness | None = None


class TakeoverRefused(Exception):  # noqa: N818 - reads as what happened
    """A partition cannot be taken over without losing or repeating decisions: an operator must choose. Other partitions go on.

    `reason`: CHANGELOG_LOST, INPUT_RECREATED, INPUT_TAIL_LOST, or CHANGELOG_FORMAT, for which the operator must start another version.
    """

    def __init__(self, lane: str, partition: int, reason: str, detail: str) -> None:
        super().__init__(f"lane {lane}/{partition} does not start: {reason}: {detail}; see `chapar lanes list`")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that was lost. `detail` is for people."""

    reason: Reason
    detail: str


def loss_of(found: Restored, now: InputState) -> Loss | None:
    """Return what was lost, if a changelog and the input do not agree with their witnesses."""
    if found.claim is not None and found.claim.refused:
        return Loss(_known(found.claim.refused), "a lane found this, and no operator has decided since")
    if (lost := _changelog_loss(found.position, now) or _replaced_changelog(found, now)) is not None:
        return lost
    position, claim = found.position, found.claim
    if position is None:
        return None
    if claim is not None and claim.input and now.id and claim.input != now.id:
        return Loss(
            Reason.INPUT_RECREATED,
            f"its input had the id {claim.input} and has {now.id} now, so position {position.offset} is one of another log",
        )
    if position.offset > now.end:
        return Loss(Reason.INPUT_TAIL_LOST, f"position {position.offset} is beyond the end {now.end} of its input")
    return None


def _changelog_loss(position: Position | None, now: InputState) -> Loss | None:
    if (witness := now.witness) is None:
        # Committed by a version without witnesses. An offset above 0 was committed by an owner, which had a position.
        if position is None and now.committed:
            return Loss(Reason.CHANGELOG_LOST, f"it has no position, and its group has committed {now.committed}")
        return None
    if position is None:
        return Loss(Reason.CHANGELOG_LOST, f"it has no position, and its group knows position {witness.offset}")
    if (position.epoch, position.offset) < (witness.epoch, witness.offset):
        return Loss(
            Reason.CHANGELOG_LOST,
            f"its position is {position.offset} of epoch {position.epoch}, and its group knows position"
            f" {witness.offset} of epoch {witness.epoch}",
        )
    return None


def _replaced_changelog(found: Restored, now: InputState) -> Loss | None:
    """Return what an owner did not notice that went on writing: its last records are there, and those before them are not."""
    claim = found.claim
    if claim is None:
        return (
            None if found.position is None else Loss(Reason.CHANGELOG_LOST, "it has a position, and no claim before it")
        )
    if not claim.log or not now.log:
        return None
    if claim.log != now.log:
        return Loss(Reason.CHANGELOG_LOST, f"its topic had the id {claim.log} and has {now.log} now")
    if found.begin > claim.begin:
        return Loss(Reason.CHANGELOG_LOST, f"its records {claim.begin} to {found.begin - 1} were deleted")
    return None


def _known(reason: str) -> Reason:
    """Return a reason of a claim; a later version may know others."""
    return Reason(reason) if reason in _REASONS else Reason.CHANGELOG_LOST


_REASONS: Final = frozenset((Reason.CHANGELOG_LOST, Reason.INPUT_RECREATED, Reason.INPUT_TAIL_LOST))


def last_epoch(claim: Claim | None, position: Position | None, now: InputState) -> int:
    """Return the largest epoch that any owner is known to have had; 0 at a first start."""
    known = (each.epoch for each in (claim, position, now.witness) if each is not None)
    return max(known, default=0)
