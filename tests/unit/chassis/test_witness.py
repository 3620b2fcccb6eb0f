"""What a lane may conclude from its changelog, its input and its group's committed offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.changelog import Position, Restored
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.witness import InputState, Witness, last_epoch, loss_of

POSITION = Position(10, 1_000, 3)
CLAIM = Claim("w", 3, 3, "one", log="log", begin=4)
WITNESS = Witness("one", 3, 10)


def found(position: Position | None = POSITION, claim: Claim | None = CLAIM, begin: int = 4) -> Restored:
    return Restored({}, position, claim, begin)


def an_input(
    topic: str = "one",
    begin: int = 0,
    end: int = 20,
    committed: int | None = 10,
    witness: Witness | None = WITNESS,
    log: str = "log",
) -> InputState:
    return InputState(topic, begin, end, log, committed, witness)


def reason(restored: Restored, now: InputState) -> str:
    loss = loss_of(restored, now)
    return "" if loss is None else loss.reason


NOTHING = an_input(committed=None, witness=None)
FINE = {
    "as it was left": (found(), an_input()),
    "first start": (found(None, None), NOTHING),
    "first start, a member has committed its first offset": (found(None, None), an_input(committed=0, witness=None)),
    "first start on a topic with records": (found(None, None), an_input(begin=5, committed=None, witness=None)),
    "died before its first commit": (found(None, CLAIM), NOTHING),
    "changelog newer than the witness": (found(Position(12, 0, 3)), an_input()),
    "a later owner began before the witness, as an operator asked": (found(Position(2, 0, 4)), an_input()),
    "written by a version without ids": (found(claim=Claim("w", 3, 3)), an_input()),
    "brokers without ids": (found(), an_input("", log="")),
    "group's offsets expired": (found(), NOTHING),
    "committed by another tool": (found(), an_input(committed=15, witness=None)),
    "all of the input is handled": (found(), an_input(end=10)),
}
LOST = {
    "empty changelog": ("CHANGELOG_LOST", found(None, None), an_input()),
    "empty changelog, nothing handled": ("CHANGELOG_LOST", found(None, None), an_input(witness=Witness("one", 1, 0))),
    "empty changelog, committed without a witness": (
        "CHANGELOG_LOST",
        found(None, None),
        an_input(committed=7, witness=None),
    ),
    "claim without a position": ("CHANGELOG_LOST", found(None), an_input()),
    "older changelog, same owner": ("CHANGELOG_LOST", found(Position(9, 0, 3)), an_input()),
    "older changelog, further offset of an earlier owner": ("CHANGELOG_LOST", found(Position(99, 0, 2)), an_input()),
    "a position without a claim": ("CHANGELOG_LOST", found(claim=None), an_input()),
    "replaced while its owner went on writing": ("CHANGELOG_LOST", found(), an_input(log="other")),
    "emptied while its owner went on writing": ("CHANGELOG_LOST", found(begin=5), an_input()),
    "another topic": ("INPUT_RECREATED", found(), an_input("two", end=0, committed=0, witness=None)),
    "another topic that has outgrown the position": ("INPUT_RECREATED", found(), an_input("two", end=1_000)),
    "input too short": ("INPUT_TAIL_LOST", found(), an_input(end=9)),
    "refused before": ("INPUT_TAIL_LOST", found(claim=Claim("", 3, 4, "one", refused="INPUT_TAIL_LOST")), an_input()),
    "refused by a later version": (
        "CHANGELOG_LOST",
        found(claim=Claim("", 3, 4, "one", refused="UNHEARD")),
        an_input(),
    ),
}


@pytest.mark.parametrize("case", FINE)
def test_a_lane_starts(case: str) -> None:
    assert reason(*FINE[case]) == ""


@pytest.mark.parametrize("case", LOST)
def test_a_lane_does_not_start(case: str) -> None:
    expected, restored, now = LOST[case]
    assert reason(restored, now) == expected


def test_a_new_owner_is_later_than_every_owner_that_is_known() -> None:
    """Also when only the group knows of the earlier ones."""
    assert last_epoch(None, None, NOTHING) == 0
    assert last_epoch(CLAIM, Position(0, 0, 5), an_input()) == 5
    assert last_epoch(None, None, an_input()) == 3


@given(
    st.builds(
        Witness,
        st.text("0123456789abcdef", max_size=32),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**63 - 1),
    )
)
def test_a_witness_survives(witness: Witness) -> None:
    assert Witness.decode(witness.encode()) == witness


@pytest.mark.parametrize(
    "text",
    ["", "chapar-lane-1", "chapar-lane-1 x 1", "chapar-lane-1 x 1 2 3", "chapar-lane-2 x 1 2", "chapar-lane-1 x ١ 2"],
)
def test_another_tools_text_is_no_witness(text: str) -> None:
    assert Witness.decode(text) is None


def test_an_older_claim_is_read() -> None:
    """Versions before 0.2 wrote three fields."""
    assert Claim.decode(b"\x01\x93\xa1w\x03\x05") == Claim("w", 3, 5)
