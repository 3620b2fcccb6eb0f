"""A refusal names the message that it is about, as far as the frame can be read."""

import pytest

from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.normalise.webchat import id_in, parse_frame

ID = "6f1c1f2e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (f'{{"type": "message", "id": "{ID}", "text": ""}}', ID),
        (f'{{"type": "message", "id": "{ID}"}}', ID),
        (f'{{"type": "message", "id": "{ID}", "text": "a\\u0000b"}}', ID),
        (f'{{"type": "wave", "id": "{ID}"}}', ID),
        ('{"type": "message", "id": "1", "text": "hi"}', "1"),
        ('{"type": "message", "id": 1, "text": "hi"}', ""),
        ('{"type": "message", "id": "\\ud800", "text": "hi"}', ""),
        (f'{{"type": "message", "id": "{"x" * 201}", "text": "hi"}}', ""),
        ("[]", ""),
        ("{", ""),
    ],
)
def test_the_id_of_a_refused_frame(frame: str, named: str) -> None:
    """Without an id that can be repeated, it is empty."""
    assert isinstance(parse_frame(frame.encode()), Refusal)
    assert id_in(frame.encode()) == named
