"""A provider's answer is an object or nothing, whatever its bytes are."""

import pytest

from services.ingest.adapters.out.http import json_object


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="not JSON"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"ok": tr', id="cut off"),
        pytest.param(b'{"invitation_ie":"i","tena\xdbt":"t"}', id="not UTF-8, which fuzzing found"),
        pytest.param(b"[" * 60_000, id="nested too deep"),
    ],
)
def test_what_is_not_an_object_is_nothing(raw: bytes) -> None:
    """The provider has answered, so the answer is judged by its status."""
    assert json_object(raw) is None


def test_an_object_is_returned() -> None:
    assert json_object(b'{"ok": true}') == {"ok": True}
