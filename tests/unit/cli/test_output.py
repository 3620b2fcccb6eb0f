"""The output of commands."""

from io import StringIO

from rich.console import Console

from services.cli.output import table

AN_ID = "f5e5c81f-8500-5102-90ec-f41e26c8c0a2"


def printed(*arguments: object) -> str:
    out = StringIO()
    Console(file=out, width=80).print(table(*arguments))  # type: ignore[arg-type]  # passed through
    return out.getvalue()


def test_an_id_can_be_copied_from_a_terminal_of_eighty_columns() -> None:
    """`interactions list` exists to find the id for `interactions show`: the other columns are narrowed instead."""
    columns = ("opened", "interaction", "channel", "queue", "state", "agent")
    text = printed("interactions", columns, [("2026-11-22 00:16:49", AN_ID, "webhook", "sales", "completed", "sara")])
    assert AN_ID in text
    assert "completed" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_no_heading_is_cut_within_a_word() -> None:
    """The eleven columns of live queues fit; headings break only between words."""
    headings = ("queue", "#waits", "#offered", "#held", "oldest", "#agents", "#free", "wait est.", "#in time")
    columns = (*headings, "#answered", "#left")
    text = printed("queues", columns, [("support", 14, 0, 0, "7 min 54 s", 0, 0, "16.9 s", 10, 10, 0)])
    for word in ("queue", "waits", "offered", "held", "oldest", "agents", "free", "answered", "left"):
        assert word in text.split(), word
    assert "support" in text.split()


def test_an_empty_table_says_that_there_is_nothing() -> None:
    """From a frame without rows the reader can't see whether the command worked."""
    assert "scores: none" in printed("scores", ("queue", "#n"), [])
