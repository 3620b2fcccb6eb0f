"""Measures as a file: the values read back are those written, in both formats; an error says why a file can't be written."""

import csv
import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.errors import ChaparError
from services.cli.measures_export import COLUMNS, line_of, write


def a_row(hour: int, queue: str, answered: int) -> sla_pb2.MeasureRow:
    row = sla_pb2.MeasureRow(contacts=answered + 1, completed=answered)
    row.key.queue, row.key.channel = queue, "webchat"
    row.key.begins_at.FromDatetime(datetime(2026, 11, 27, hour, tzinfo=UTC))
    if answered:
        row.first_response.sum_ms = 12_345 * answered
        row.first_response.mean_ms.value, row.first_response.mean_ms.n = 12_345.0, answered
        row.first_response.p50_ms, row.first_response.p90_ms = 12_031.5, 12_543.5
        row.targets.add(target=config_pb2.TARGET_KIND_PICK_UP, met_desired=answered, breached=2)
        row.repeat_contacts.n, row.repeat_contacts.value = answered, 0.25
    return row


ROWS = [a_row(8, "sales", 4), a_row(9, "فروش", 0)]


def test_a_csv_is_read_back_the_same(tmp_path: Path) -> None:
    """The file has a header and one line per row; unknown values are empty; Persian names are unchanged."""
    file = tmp_path / "measures.csv"
    assert write(file, ROWS) == 2
    with file.open(newline="", encoding="utf-8") as lines:
        read = list(csv.DictReader(lines))
    assert [tuple(line) for line in read] == [COLUMNS, COLUMNS]
    for line, row in zip(read, ROWS, strict=True):
        for name, value in line_of(row).items():
            assert line[name] == (
                "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
            )
    assert read[1]["first_response_mean_ms"] == ""
    assert read[0]["target_pick_up_breached"] == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["measures.csv"], "no unfinished file is left"


def test_a_parquet_is_read_back_the_same(tmp_path: Path) -> None:
    """The columns have types: counts are integers, times are timestamps in UTC, unknown values are null."""
    pq = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "measures.parquet"
    assert write(file, ROWS) == 2
    table = pq.read_table(file)
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist() == [dict(line_of(row)) for row in ROWS]
    assert str(table.schema.field("contacts").type) == "int64"
    assert table.to_pylist()[0]["begins_at"] == datetime(2026, 11, 27, 8, tzinfo=UTC)
    assert write(file, []) == 0
    assert pq.read_table(file).num_rows == 0


def test_without_pyarrow_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ChaparError, match="uv sync --group export"):
        write(tmp_path / "measures.parquet", ROWS)
    assert write(tmp_path / "measures.csv", ROWS) == 2, "CSV needs nothing"


def test_another_file_extension_is_refused_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(ChaparError, match=r"\.csv or \.parquet"):
        write(tmp_path / "measures.xlsx", ROWS)
    assert not list(tmp_path.iterdir())


def test_a_name_is_not_written_as_a_formula(tmp_path: Path) -> None:
    """A spreadsheet would evaluate a queue name such as =1+1."""
    file = tmp_path / "m.csv"
    write(file, [a_row(8, "=1+1", 1)])
    with file.open(newline="", encoding="utf-8") as lines:
        assert next(csv.DictReader(lines))["queue"] == "'=1+1"
