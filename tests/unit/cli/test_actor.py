"""The name that the audit log gets from the command line."""

import os

import pytest

from services.chassis.errors import ChaparError
from services.cli.actor import MOST, actor_or_user

NAMELESS = 2**31 - 7


@pytest.fixture
def _nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: a number without a name, and nothing in the environment."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NAMELESS)


@pytest.mark.usefixtures("_nameless")
@pytest.mark.parametrize("given", ["", "  "])
def test_a_number_without_a_name_is_a_name(given: str) -> None:
    """No trace of Python, and never an empty field."""
    assert actor_or_user(given) == f"uid {NAMELESS}"


@pytest.mark.usefixtures("_nameless")
def test_a_given_name_counts() -> None:
    """Without the spaces around it."""
    assert actor_or_user(" sara@shop.example ") == "sara@shop.example"


def test_the_user_of_the_operating_system_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python finds it."""
    monkeypatch.setenv("LOGNAME", "omid")
    assert actor_or_user("") == "omid"


@pytest.mark.parametrize("given", ["a" * (MOST + 1), "two\nlines", "\x1b[31mred"])
def test_names_that_the_audit_log_cannot_hold(given: str) -> None:
    """Refused before anything is done."""
    with pytest.raises(ChaparError) as refused:
        actor_or_user(given)
    assert refused.value.reason == "BAD_ACTOR"
