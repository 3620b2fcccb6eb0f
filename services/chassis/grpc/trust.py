"""The callers that a server trusts, kept up to date: keys by URL, and revoked tokens from `revocations.v1`.

The server listens only after it has read the revocations that existed at its start; otherwise a revoked token would be valid
for a moment after each restart. Later revocations are read as they come. While the broker is away, those already read remain
in force.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1.revocation_pb2 import Revocation as RevocationRecord
from services.chassis.grpc.auth import Authorizer
from services.chassis.grpc.lifetimes import Lifetimes
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.tail import tail
from services.chassis.lifecycle import Service
from services.chassis.reasons import Reason
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import JwtSettings, Verifier
from services.chassis.tokens.fetching import fetch_keys, fetcher
from services.chassis.tokens.remote import RefreshPlan, RemoteKeys
from services.chassis.tokens.revocations import Revocation

TOPIC: Final = "revocations.v1"


@asynccontextmanager
async def trusted_callers(service: Service[Any], verifier: Verifier | None = None) -> AsyncIterator[Authorizer]:
    """Provide the authorizer of a server for the time of the block. Raises INVALID when a key file can't be used."""
    settings: ServiceSettings = service.settings
    async with AsyncExitStack() as stack:
        if verifier is None:
            settings.require_keys_that_only_verify()
            remote = await _remote_keys(service, settings.jwt, stack)
            verifier = Verifier.from_settings(settings.jwt, service.clock, remote)
        lifetimes = Lifetimes(service.clock)
        if settings.jwt.revocations:
            read, ready = asyncio.Event(), service.health.component("revocations")
            ready.set(False, f"reading {TOPIC}: is Kafka up, and has `chapar topics apply` run?")
            await stack.enter_async_context(service.background(_follow(service, lifetimes, read), "revocations"))
            await read.wait()
            ready.set(True)
        yield Authorizer(verifier, settings.grpc_peers, lifetimes)


async def _remote_keys(service: Service[Any], jwt: JwtSettings, stack: AsyncExitStack) -> dict[str, RemoteKeys]:
    found = {}
    for issuer in jwt.trusted:
        if not any(issuer.urls):
            continue
        http = await stack.enter_async_context(fetcher(issuer.ca_file, jwt.fetch_timeout_s))
        plan = RefreshPlan(jwt.refresh_s, jwt.cooldown_s, jwt.stale_s)
        keys = RemoteKeys(issuer.issuer, partial(fetch_keys, issuer, http), plan, service.metrics)
        await stack.enter_async_context(service.background(keys.run(), f"token keys of {issuer.issuer}"))
        found[issuer.issuer] = keys
    if found and len(found) == len(jwt.trusted):
        # Without any key no caller could be let in: a new pod must not replace one that still has them.
        ready = service.health.component("token keys")
        ready.set(False, "no issuer's keys have been fetched yet")
        for keys in found.values():
            keys.on_known = lambda: ready.set(True)
    return found


async def _follow(service: Service[Any], lifetimes: Lifetimes, read: asyncio.Event) -> None:
    """Apply every record of the topic to the list of revoked tokens."""
    poison = Poison("revocations", service.metrics)
    gauge = service.metrics.gauge("chapar_revocations").labels()
    records = tail(service.settings.kafka, TOPIC, client_id=f"{service.name}-revocations", caught_up=read.set)
    async with aclosing(records):
        async for record in records:
            poison.guard(record, lambda each: take_revocation(lifetimes, each, service.clock() / 1000))
            gauge.set(len(lifetimes.revocations))


def take_revocation(lifetimes: Lifetimes, record: Record, now_s: float) -> None:
    """Apply one record of the topic. Raises InvalidRecord."""
    key = (record.key or b"").decode("utf-8", "replace")
    if record.value is None:
        lifetimes.revocations.remove(key)
        return
    try:
        entry = revocation_of(RevocationRecord.FromString(record.value))
    except (DecodeError, ValueError) as error:
        raise InvalidRecord(Reason.UNDECODABLE, "not a Revocation") from error
    lifetimes.revocations.put(key, entry, now_s)
    lifetimes.revoked()


def revocation_of(record: RevocationRecord) -> Revocation:
    """Convert a revocation from the contract. Raises ValueError for one that names nothing."""
    if not (record.token_id or record.subject or record.agent_id):
        raise ValueError("a revocation names a token, a subject or an agent")
    return Revocation(
        expires_s=record.expires_at_ms / 1000,
        tenant=record.tenant,
        issuer=record.issuer,
        token_id=record.token_id,
        subject=record.subject,
        agent_id=record.agent_id,
        issued_until_s=record.issued_until_ms / 1000,
    )
