"""One error type, with the same meaning for HTTP, gRPC and the lanes."""

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import (
    DISPOSITION,
    HTTP_STATUS,
    ChaparError,
    Disposition,
    ErrorKind,
    FieldViolation,
    invalid,
    problem,
)
from services.chassis.grpc.status import CODES, from_status, to_status


def test_every_kind_is_mapped_everywhere() -> None:
    """A kind without a mapping would be a KeyError in the middle of an incident."""
    kinds = set(ErrorKind)
    assert set(HTTP_STATUS) == set(CODES) == set(DISPOSITION) == kinds


def test_only_transient_errors_are_retried() -> None:
    """A record that is wrong stays wrong: it becomes a dead letter."""
    retried = {kind for kind in ErrorKind if DISPOSITION[kind] is Disposition.RETRY}
    assert retried == {ErrorKind.EXHAUSTED, ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE, ErrorKind.ABORTED}
    assert ChaparError(ErrorKind.TOO_LARGE, "BODY", "large").disposition is Disposition.DEAD_LETTER


@pytest.mark.parametrize("reason", ["", "lower", "WITH SPACE", "1ST", "Ä", "X" * 64])
def test_a_reason_is_a_word_for_programs(reason: str) -> None:
    """It becomes a metric label and an ErrorInfo reason."""
    with pytest.raises(ValueError, match="reason"):
        ChaparError(ErrorKind.INVALID, reason, "text")


def test_a_problem_has_reason_fields_and_retry_time() -> None:
    """RFC 9457, with the whole seconds of Retry-After, rounded up."""
    answer = problem(
        ChaparError(
            ErrorKind.EXHAUSTED,
            "RATE_LIMIT",
            "too many",
            violations=(FieldViolation("account", "30 a second"),),
            retry_after_s=1.2,
        )
    )
    assert answer.status == answer.body["status"] == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["reason"] == "RATE_LIMIT"
    assert answer.body["violations"] == [{"field": "account", "description": "30 a second"}]


def test_an_internal_errors_message_is_not_shown() -> None:
    """Neither HTTP nor gRPC shows an internal error's message."""
    error = ChaparError(ErrorKind.INTERNAL, "BUG", "row 7 of agents: secret")
    assert "secret" not in str(problem(error).body)
    assert b"secret" not in to_status(error).SerializeToString()


def test_one_wrong_field_is_a_message_and_a_violation() -> None:
    """The most common refusal is one call."""
    error = invalid("queue", "there is no queue called 'x'")
    assert (error.kind, error.message) == (ErrorKind.INVALID, "queue: there is no queue called 'x'")
    assert error.violations == (FieldViolation("queue", "there is no queue called 'x'"),)


TEXT = st.text(st.characters(codec="utf-8"), max_size=100)
ERRORS = st.builds(
    ChaparError,
    st.sampled_from([kind for kind in ErrorKind if kind is not ErrorKind.INTERNAL]),
    st.from_regex(r"[A-Z][A-Z0-9_]{0,62}", fullmatch=True),
    TEXT,
    violations=st.lists(st.builds(FieldViolation, TEXT, TEXT), max_size=5).map(tuple),
    metadata=st.dictionaries(st.sampled_from(["queue", "agent", "limit"]), TEXT),
    retry_after_s=st.none() | st.integers(0, 10_000_000).map(lambda ms: ms / 1000),
)


@given(ERRORS)
@settings(max_examples=50)
def test_an_error_crosses_grpc_intact(error: ChaparError) -> None:
    """A client can catch the error of another service, with every field."""
    back = from_status(CODES[error.kind], error.message, to_status(error).SerializeToString())
    assert (back.kind, back.reason, back.message, back.violations) == (
        error.kind,
        error.reason,
        error.message,
        error.violations,
    )
    assert dict(back.metadata) == dict(error.metadata)
    assert back.retry_after_s == error.retry_after_s


@given(st.sampled_from([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]), st.binary(max_size=80))
def test_foreign_details_never_break_the_mapping(code: grpc.StatusCode, details: bytes) -> None:
    """Proxies and other servers answer too; then the code alone decides."""
    error = from_status(code, "text", details)
    assert isinstance(error, ChaparError)
    assert from_status(code, "text", None).reason == f"GRPC_{code.name}"
