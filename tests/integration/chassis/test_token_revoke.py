"""`chapar token revoke` on a real cluster: the revocation is in force, and the audit log names the person who made it."""

import asyncio
import os
from pathlib import Path

import jwt
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from services.chassis.clock import system_clock
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import full_name
from services.cli.__main__ import app
from services.cli.revocations import in_force
from services.cli.topic_reader import read_all
from services.ingest.adapters.history.mapping_audit import audited
from tests.fixtures.broker import KafkaUnderTest

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: KafkaUnderTest, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """A cluster with the two topics, and a command line in a container: no home, no user name."""
    found = kafka.settings(prefix)

    async def make() -> None:
        admin = AIOKafkaAdminClient(**found.client_options())
        await admin.start()
        try:
            await admin.create_topics([NewTopic(full_name(prefix, t), 1, 1) for t in ("audit.v1", "revocations.v1")])
        finally:
            await admin.close()

    asyncio.run(make())
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "CHAPAR_ACTOR", "CHAPAR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("CHAPAR_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("CHAPAR_HOME", str(tmp_path))
    monkeypatch.setenv("CHAPAR_TENANT", "acme")
    return found


def _audited(settings: KafkaSettings) -> list[audit_pb2.AuditRecord]:
    records = asyncio.run(read_all(settings, "audit.v1"))
    for record in records:
        assert record.key == b"acme"
        assert audited(record.value or b"", record.offset) is not None  # the history can read it
    return [audit_pb2.AuditRecord.FromString(record.value or b"") for record in records]


TOKEN = jwt.encode({"jti": "t-2", "iss": "https://login.example/" + "x" * 300}, "s" * 40)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (("--agent", "sara"), "agent/acme//sara"),
        (("--subject", "s-1", "--all-tenants"), "subject///s-1"),
        (("--id", "t-1"), "token//t-1"),
        (("--token", TOKEN), "token/https://login.example/" + "x" * 172),
    ],
)
def test_the_audit_log_names_the_person_who_revoked_a_token(
    settings: KafkaSettings, words: tuple[str, ...], target: str
) -> None:
    """By the given name or, if the user has none, by the user id."""
    for given, name in (((), f"uid {2**31 - 7}"), (("--actor", "omid@acme"), "omid@acme")):
        done = CliRunner().invoke(app, ["token", "revoke", *words, *given])
        assert done.exit_code == 0, done.output
        (revoked,) = asyncio.run(in_force(settings, system_clock())).values()
        assert revoked.revoked_by == name
        record = _audited(settings)[-1]
        assert (record.tenant, record.subject, record.method) == ("acme", name, "chapar token revoke")
        assert [(each.kind, each.id) for each in record.targets] == [("token", target)]
        assert record.action == options_pb2.AUDIT_ACTION_CHANGE
        assert record.outcome == audit_pb2.AUDIT_OUTCOME_REQUESTED
        assert abs(record.occurred_at_ms - revoked.revoked_at_ms) < 1000
    assert len({record.event_id for record in _audited(settings)}) == 2


def test_the_name_comes_from_the_environment_too(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAPAR_ACTOR works as for `chapar config apply`; an invalid one revokes nothing."""
    monkeypatch.setenv("CHAPAR_ACTOR", "two\nlines")
    done = CliRunner().invoke(app, ["token", "revoke", "--agent", "sara"])
    assert (done.exit_code, _audited(settings)) == (1, [])
    monkeypatch.setenv("CHAPAR_ACTOR", "omid")
    assert CliRunner().invoke(app, ["token", "revoke", "--agent", "sara"]).exit_code == 0
    assert [record.subject for record in _audited(settings)] == ["omid"]
