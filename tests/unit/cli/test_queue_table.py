"""The table of `chapar queues`."""

from chapar.router.v1.router_pb2 import QueueView
from services.cli.commands.queues import COLUMNS, queue_table
from services.cli.output import moment

AT = 1_796_444_000_000


def test_a_closed_queue_shows_when_it_opens_instead_of_an_estimate() -> None:
    """Without a known opening it is only closed."""
    made = queue_table(
        [
            QueueView(queue="open", estimated_wait_ms=60_000),
            QueueView(queue="closed", estimated_wait_ms=-1, closed=True, opens_at_ms=AT),
            QueueView(queue="over", estimated_wait_ms=-1, closed=True),
        ]
    )
    cells = list(made.columns[COLUMNS.index("wait est.")].cells)
    assert cells[1:] == [f"closed until {moment(AT)}", "closed"]
    assert "closed" not in str(cells[0])
