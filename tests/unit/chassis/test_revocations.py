"""Revoked tokens: exactly those that an entry names, in bounded memory, until they would have ended anyway."""

import time

import pytest

from chapar.common.v1.revocation_pb2 import Revocation as Record
from services.chassis.grpc.trust import revocation_of
from services.chassis.tokens import Caller
from services.chassis.tokens.revocations import MOST, Revocation, Revocations

NOW = 1_700_000_000.0


def a_caller(**fields: object) -> Caller:
    values = {
        "subject": "sara", "tenant": "acme", "scopes": frozenset(), "agent_id": "a-1", "issuer": "i", "token_id": "t-1",
        "issued_s": NOW - 10, "expires_s": NOW + 600,
    }  # fmt: skip
    return Caller(**{**values, **fields})  # type: ignore[arg-type]  # a builder


def in_force(**fields: object) -> Revocations:
    found = Revocations()
    found.put("k", Revocation(**{"expires_s": NOW + 600, **fields}), NOW)  # type: ignore[arg-type]  # a builder
    return found


@pytest.mark.parametrize(
    ("revoked", "caller", "covered"),
    [
        ({"token_id": "t-1"}, {}, True),
        ({"token_id": "t-1", "issuer": "i"}, {}, True),
        ({"token_id": "t-1", "issuer": "other"}, {}, False),
        ({"token_id": "t-2"}, {}, False),
        ({"token_id": "t-1"}, {"token_id": ""}, False),
        ({"subject": "sara", "issued_until_s": NOW}, {}, True),
        ({"subject": "sara", "issued_until_s": NOW}, {"issued_s": NOW}, True),
        ({"subject": "sara", "issued_until_s": NOW}, {"issued_s": NOW + 1}, False),
        ({"subject": "sara", "issued_until_s": NOW, "tenant": "acme"}, {}, True),
        ({"subject": "sara", "issued_until_s": NOW, "tenant": "beta"}, {}, False),
        ({"subject": "a-1", "issued_until_s": NOW}, {}, False),
        ({"agent_id": "a-1", "issued_until_s": NOW}, {}, True),
        ({"agent_id": "a-1", "issued_until_s": NOW}, {"agent_id": ""}, False),
        ({"agent_id": "sara", "issued_until_s": NOW}, {}, False),
    ],
)
def test_a_revocation_covers_what_it_names(
    revoked: dict[str, object], caller: dict[str, object], covered: bool
) -> None:
    """By token, subject or agent; within its issuer and tenant; not tokens that were issued afterwards."""
    assert in_force(**revoked).covers(a_caller(**caller)) is covered


def test_an_entry_is_replaced_removed_and_forgotten() -> None:
    """An entry is found by its key, and forgotten when the last token that it can cover has ended."""
    found = in_force(subject="sara", issued_until_s=NOW)
    found.put("k", Revocation(NOW + 600, subject="omid", issued_until_s=NOW), NOW)
    assert not found.covers(a_caller())
    assert found.covers(a_caller(subject="omid"))
    found.remove("k")
    found.remove("k")
    assert len(found) == 0
    found.put("late", Revocation(NOW, subject="sara", issued_until_s=NOW), NOW)
    assert len(found) == 0
    found.put("k", Revocation(NOW + 1, subject="sara", issued_until_s=NOW), NOW)
    found.prune(NOW + 1)
    assert not found.covers(a_caller())


def test_memory_is_bounded_and_a_lookup_takes_constant_time() -> None:
    """Of a hundred thousand entries those that end first are dropped, and a lookup costs the same as with one entry."""
    found = Revocations()
    for number in range(MOST):
        found.put(f"k{number}", Revocation(NOW + 600 + number, token_id=f"t{number}"), NOW)
    one, many = in_force(token_id="x"), found
    costs = []
    for each in (one, many):
        begun = time.process_time()
        for _ in range(20_000):
            each.covers(a_caller_once)
        costs.append(time.process_time() - begun)
    assert costs[1] < 5 * costs[0] + 0.05
    found.put("new", Revocation(NOW + 10_000_000, token_id="new"), NOW)
    assert len(found) == MOST
    assert found.covers(a_caller(token_id="new"))
    assert not found.covers(a_caller(token_id="t0"))


a_caller_once = a_caller(token_id="none")


@pytest.mark.parametrize("record", [Record(), Record(tenant="acme"), Record(issuer="i", issued_until_ms=1)])
def test_a_record_that_names_nothing_is_refused(record: Record) -> None:
    """It would revoke every token."""
    with pytest.raises(ValueError, match="names"):
        revocation_of(record)
