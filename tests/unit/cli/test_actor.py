"""The actor's name that the command line writes to the audit log."""

import os

import pytest

from services.chassis.errors import ChaparError
from services.cli.actor import MOST, actor_or_user

NAMELESS = 2**31 - 7


@pytest.fixture
def _nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a container: a user id without a name, and no variable in the environment."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NAMELESS)


@pytest.mark.usefixtures("_nameless")
@pytest.mark.parametrize("given", ["", "  "])
def test_a_user_id_without_a_name_is_used_as_the_name(given: str) -> None:
    """The name holds no Python error, and is never empty."""
    assert actor_or_user(given) == f"uid {NAMELESS}"


@pytest.mark.usefixtures("_nameless")
def test_a_given_name_is_used() -> None:
    """The spaces around it are removed."""
    assert actor_or_user(" sara@shop.example ") == "sara@shop.example"


def test_the_default_is_the_user_of_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is the one that Python finds."""
    monkeypatch.setenv("LOGNAME", "omid")
    assert actor_or_user("") == "omid"


@pytest.mark.parametrize("given", ["a" * (MOST + 1), "two\nlines", "\x1b[31mred"])
def test_names_that_the_audit_log_cannot_hold(given: str) -> None:
    """Such names are refused before anything is done."""
    with pytest.raises(ChaparError) as refused:
        actor_or_user(given)
    assert refused.value.reason == "BAD_ACTOR"
