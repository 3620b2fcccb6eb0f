"""The scan finds a needle at every place and in every form."""

import base64
import json
import quopri
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.privacy.scan import forms, scan

NEEDLE = "زهرا 7f31 q"


@pytest.mark.parametrize(
    "written",
    [
        NEEDLE.encode(),
        NEEDLE.encode("utf-16"),
        NEEDLE.encode("utf-16-be"),
        NEEDLE.encode().hex().encode(),
        quopri.encodestring(NEEDLE.encode()),
        json.dumps({"text": NEEDLE}).encode(),
        quote(NEEDLE).encode(),
        *(base64.b64encode(b"x" * before + NEEDLE.encode() + b"and more") for before in range(4)),
    ],
)
def test_each_form_is_found_in_the_middle_of_a_file(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(b"\0" * 5000 + written + b"\xff" * 7000)
    assert set(scan(tmp_path, {"it": NEEDLE})["it"]) == {"deep/er/file"}
    assert not scan(tmp_path, {"other": "زهره 7f32 p"})


@pytest.mark.parametrize("place", [0, 4090, 1 << 20, (1 << 20) + 4090])
def test_holes_hide_nothing(tmp_path: Path, place: int) -> None:
    """A needle between holes, or across the end of what was written, is found."""
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(place)
        file.write(NEEDLE.encode("utf-16-le"))
        file.truncate(8 << 20)
    assert set(scan(tmp_path, {"it": NEEDLE})["it"]) == {"sparse"}
    assert not scan(tmp_path, {"other": "زهره 7f32 p"})


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_base64_is_found_beside_any_other_bytes(before: bytes, after: bytes) -> None:
    coded = base64.b64encode(before + NEEDLE.encode() + after)
    assert any(value in coded for name, value in forms(NEEDLE).items() if name.startswith("base64-"))


def test_the_scan_reads_databases_and_their_logs(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "a.sqlite3", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x TEXT)")
    database.execute("INSERT INTO t VALUES (?)", (NEEDLE,))
    assert scan(tmp_path, {"it": NEEDLE})
    database.close()
