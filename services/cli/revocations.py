"""Writes and lists `revocations.v1`: tokens that are revoked before they expire."""

from __future__ import annotations

from typing import Final

import jwt
from jwt.exceptions import PyJWTError

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from chapar.common.v1.revocation_pb2 import Revocation
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.tokens.revocations import MOST
from services.chassis.tokens.settings import MAX_LIFETIME_S
from services.cli.reasons import Reason
from services.cli.topic_reader import decoded, read_all

TOPIC: Final = "revocations.v1"
AUDIT: Final = "audit.v1"
_MOST_IN_FORCE: Final = MOST // 2
_LEEWAY_MS: Final = 300_000
_AUDITED_ID: Final = 200
"""The most characters of an id that the audit log can be searched for."""


async def in_force(kafka: KafkaSettings, now_ms: int) -> dict[str, Revocation]:
    """Return the revocations in force, by key."""
    found: dict[str, Revocation] = {}
    for record in await read_all(kafka, TOPIC):
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(key, None)
        for _, entry in decoded((record,), Revocation.FromString):
            found[key] = entry
    return {key: entry for key, entry in found.items() if entry.expires_at_ms > now_ms}


async def revoke(kafka: KafkaSettings, entry: Revocation, tenant: str, clock: Clock) -> None:
    """Revoke tokens, within seconds in every service. First record in the audit log of `tenant` that `revoked_by` asked for it.

    Raises FAILED_PRECONDITION when the list is full, UNAVAILABLE when the cluster does not accept the records.
    """
    now_ms = clock()
    entry.revoked_at_ms = now_ms
    entry.expires_at_ms = entry.expires_at_ms or now_ms + MAX_LIFETIME_S * 1000 + _LEEWAY_MS
    if not entry.token_id:
        entry.issued_until_ms = now_ms
    if len(await in_force(kafka, now_ms)) >= _MOST_IN_FORCE:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.TOO_MANY_REVOCATIONS,
            f"{_MOST_IN_FORCE} revocations are in force: withdraw the issuer's key instead, and have new tokens issued",
        )
    async with DurableProducer(kafka, client_id="cli-revocations") as producer:
        try:
            # The audit record comes first: a change without a trace is worse than a request that is repeated.
            audited = _audit(entry, tenant, now_ms)
            headers = record_headers(AUDIT, audited.event_id, tenant)
            await producer.publish(AUDIT, tenant.encode(), audited.SerializeToString(), headers)
            headers = record_headers(TOPIC, ids.derive("revocation", key_of(entry), str(now_ms)), entry.tenant)
            await producer.publish(TOPIC, key_of(entry).encode(), entry.SerializeToString(), headers)
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "the revocation may not be in force: the cluster did not answer; try again",
            ) from error


def _audit(entry: Revocation, tenant: str, now_ms: int) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=ids.random_id(),
        tenant=tenant,
        service="cli",
        method="chapar token revoke",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="token", id=key_of(entry)[:_AUDITED_ID])],
        subject=entry.revoked_by,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=now_ms,
    )


def key_of(entry: Revocation) -> str:
    """Return the record's key: a repeated revocation replaces the earlier record."""
    if entry.token_id:
        return f"token/{entry.issuer}/{entry.token_id}"
    if entry.subject:
        return f"subject/{entry.tenant}/{entry.issuer}/{entry.subject}"
    return f"agent/{entry.tenant}/{entry.issuer}/{entry.agent_id}"


def of_token(token: str) -> Revocation:
    """Return the revocation of one token. Its signature is not verified: a forged token is refused anyway. Raises INVALID."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (PyJWTError, ValueError, RecursionError) as error:
        raise ChaparError(ErrorKind.INVALID, Reason.TOKEN_MALFORMED, "this is not a JSON Web Token") from error
    token_id, issuer = claims.get("jti"), claims.get("iss")
    if not isinstance(token_id, str) or not token_id:
        raise ChaparError(
            ErrorKind.INVALID, Reason.TOKEN_WITHOUT_ID, "the token has no jti: revoke its --subject instead"
        )
    return Revocation(token_id=token_id, issuer=issuer if isinstance(issuer, str) else "")
