"""The audit log names a caller with a valid token whose call is refused before the request is read, on real sockets and a real log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.audit.v1 import audit_pb2
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.audit import TOPIC
from services.chassis.audit_log import audit_trail
from services.chassis.cluster_topics import apply
from services.chassis.grpc.status import from_rpc_error
from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import serving
from services.chassis.tokens import Verifier, mint
from services.chassis.tokens.claims import ClaimRules
from services.chassis.tokens.keys import key_of_pem
from services.chassis.tokens.sources import FixedKeys
from services.chassis.tokens.verifier import TrustedIssuer
from tests.integration.chassis.conftest import PUBLIC, SECRET, SERVICE, Probe, bearer, build_probe, dev_settings, token

pytestmark = pytest.mark.kafka
DEADLINES = f"{SERVICE}/GetDeadlines"
REFUSED = audit_pb2.AUDIT_OUTCOME_REFUSED


@asynccontextmanager
async def a_stub(kafka: KafkaSettings, tmp_path: Path, probe: Probe) -> AsyncIterator[Any]:
    """Yield a stub of a service that trusts the subject "cron" to name the tenant acme or beta."""
    rules = ClaimRules(services=frozenset({"cron"}), tenants=frozenset({"acme", "beta"}))
    verifier = Verifier(TrustedIssuer("chapar", "chapar", FixedKeys(key_of_pem(PUBLIC, "the test's key")), rules))
    settings = dev_settings(tmp_path, kafka=kafka)
    async with (
        serving("probe", settings, build_probe(probe, verifier=verifier, audit=audit_trail)) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        yield sla_pb2_grpc.SlaServiceStub(channel)


async def reason(stub: Any, metadata: tuple[tuple[str, str], ...]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=metadata, timeout=5)
    return from_rpc_error(caught.value).reason


async def log_of(kafka: KafkaSettings) -> list[audit_pb2.AuditRecord]:
    """Return all records of the audit log, by tenant in order."""
    found: list[audit_pb2.AuditRecord] = []
    read = asyncio.Event()
    async with aclosing(tail(kafka, TOPIC, client_id="test", caught_up=read.set)) as records:

        async def collect() -> None:
            async for record in records:
                found.append(audit_pb2.AuditRecord.FromString(record.value or b""))  # noqa: PERF401 - the list must exist when the task is cancelled

        collecting = asyncio.create_task(collect())
        await read.wait()
        collecting.cancel()
        await asyncio.wait([collecting])
    return found


async def test_refusals_of_valid_tokens_are_recorded_with_their_number(
    kafka: Any, prefix: str, tmp_path: Path, probe: Probe
) -> None:
    """Missing scopes, and tenants that the service may not name; a caller without a valid token leaves no record."""
    settings = kafka.settings(prefix)
    await apply(settings)
    service = mint(SECRET, "cron", "", ["sla.read"])
    async with a_stub(settings, tmp_path, probe) as stub:
        for _ in range(5):
            assert await reason(stub, bearer(token("routing.read", agent_id="sara"))) == "SCOPE_MISSING"
        for tenant in ("gamma", "gamma", "not a name"):
            assert await reason(stub, (*bearer(service), ("chapar-tenant", tenant))) == "TENANT_REFUSED"
        assert await reason(stub, bearer(service)) == "TENANT_MISSING"
        assert await reason(stub, ()) == "TOKEN_MISSING"
        assert await reason(stub, bearer("nonsense")) == "TOKEN_REFUSED"
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=bearer(token()), timeout=5)
        at_once = await log_of(settings)
        assert sorted(record.reason for record in at_once) == [
            "SCOPE_MISSING",
            "TENANT_MISSING",
            "TENANT_REFUSED",
            "TENANT_REFUSED",
        ]
    records = await log_of(settings)
    assert {(record.method, record.outcome) for record in records} == {(DEADLINES, REFUSED)}
    assert sorted((r.tenant, r.subject, r.agent_id, r.reason, r.calls) for r in records) == [
        ("", "cron", "", "TENANT_MISSING", 1),
        ("", "cron", "", "TENANT_REFUSED", 1),
        ("acme", "tester", "sara", "SCOPE_MISSING", 1),
        ("acme", "tester", "sara", "SCOPE_MISSING", 4),
        ("gamma", "cron", "", "TENANT_REFUSED", 1),
        ("gamma", "cron", "", "TENANT_REFUSED", 1),
    ]
