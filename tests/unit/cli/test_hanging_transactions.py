"""What `chapar transactions end` would do: the recorded outcome counts, and without one an operator has to say so."""

import pytest

from services.chassis.kafka.transactions.ending import Outcome
from services.chassis.kafka.transactions.hanging import Found, OpenTransaction
from services.cli.hanging_transactions import Seen, plan


def seen(topic: str, partition: int, outcome: Outcome | None, *, hangs: bool = True) -> Seen:
    return Seen(Found(OpenTransaction((topic, partition), 347, 3, 27, 0, 1_000), "id", "Empty", hangs), outcome)


COMMITTED = seen("state", 0, Outcome(True, 28))
ABORTED = seen("state", 1, Outcome(False, 28))
UNDECIDED = seen("events", 0, None)
OPEN = seen("events", 1, None, hangs=False)
ALL = (COMMITTED, ABORTED, UNDECIDED, OPEN)


def test_the_recorded_outcome_is_written_and_the_rest_stays_open() -> None:
    """Also with `--abort` a commit is a commit, and a transaction that its coordinator will end is left alone."""
    planned = plan(ALL)
    assert planned.ends == ((COMMITTED, Outcome(True, 28)), (ABORTED, Outcome(False, 28)))
    assert planned.undecided == 1
    assert [says.partition(": ")[2].split(",")[0].split(":")[0] for says in planned.says] == [
        "commit",
        "abort",
        "stays open",
    ]
    forced = plan(ALL, abort=True)
    assert forced.ends == (*planned.ends, (UNDECIDED, Outcome(False, 27)))
    assert forced.undecided == 0
    assert "a part of its work is lost" in forced.says[-1]


@pytest.mark.parametrize(
    ("topic", "partition", "ends"),
    [("state", None, 2), ("state", 1, 1), ("", 0, 1), ("events", None, 0), ("other", None, 0)],
)
def test_an_operator_may_name_the_place(topic: str, partition: int | None, ends: int) -> None:
    assert len(plan(ALL, topic=topic, partition=partition).ends) == ends


def test_nothing_hangs() -> None:
    assert plan((OPEN,)).says == ("No transaction hangs.",)
