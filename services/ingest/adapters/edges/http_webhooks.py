"""Signed webhooks by HTTP: `POST /v1/{tenant}/{channel}/{account}`.

The steps have this order, so that each step sees only calls that passed the one before: account (404) → form of the
proof, in the head (401) → capacity for the body (503) and size while streaming (413) → proof over the raw bytes (401,
or 429 after repeated failures) → media type (415) → parse (400) → limits (429) → publish (503 until the broker has
acknowledged) → 200.

A call with several messages is answered 200 when at least one was accepted: the refused ones are counted, and a retry
would not help them. If the broker prevents acceptance, the caller is asked to retry; the ids are then the same. Limits (429) apply
to other systems only: providers slow a whole account down when they get errors.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from services.chassis.byte_budget import ByteBudget, Held, OverBudget
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation, problem
from services.chassis.http import LateTimeout, peer_key
from services.chassis.logs import get_logger
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, Taken
from services.ingest.adapters.edges.originals import with_originals
from services.ingest.adapters.edges.webhook_call import (
    Answer,
    CallerGone,
    WebhookCall,
    json_answer,
    problem_answer,
    text_answer,
)
from services.ingest.domain.normalise.message import Parsed, Refusal
from services.ingest.domain.normalise.proof import Unproven
from services.ingest.domain.origin import Origin, OriginProof
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Accounts, Secrets

_INLINE_BYTES = 64 << 10
_BUSY_S = 5


class Channel(Protocol):
    """The parts that differ between providers."""

    @property
    def name(self) -> str:
        """Return the channel's name, as in paths and configuration."""

    @property
    def is_provider(self) -> bool:
        """Return whether errors make the caller slow down a whole account: nothing is then refused for a rate."""

    def plausible(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], now_s: float
    ) -> Unproven | None:
        """Return why no body could make this call a proven one; None when a body could. Sees only the head, before the
        body is read."""

    def prove(
        self, account: Account, secrets: Secrets, headers: Mapping[str, str], raw: bytes, now_s: float
    ) -> Unproven | None:
        """Return why the call is not from the provider; None when it is. Sees raw bytes only."""

    def parse(self, account: Account, raw: bytes) -> Parsed:
        """Return the messages in a proven call."""

    def handshake(self, account: Account, secrets: Secrets, query: Mapping[str, str]) -> str | Unproven | None:
        """Return the answer to a GET, for providers that send one before their first call; None for the others."""


class Webhooks:
    """Handles all webhook channels. An ASGI application; its path parameters are tenant, channel and account."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        accounts: Accounts,
        secrets: Secrets,
        ingress_limiter: IngressLimiter,
        unproven: ByteBudget,
        *,
        max_body_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self._channels = channels
        self._origins = {name: Origin(OriginProof.PROVIDER_SIGNATURE, f"the proof of {name}") for name in channels}
        self._accounts = accounts
        self._secrets = secrets
        self._ingress_limiter = ingress_limiter
        self._unproven = unproven
        self._max = max_body_bytes
        self._timeout = body_timeout_s
        self._log = get_logger(__name__)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one call. Any input gets a clear answer."""
        call = WebhookCall(scope, receive)
        name = call.path["channel"]
        label = name if name in self._channels else "unknown"
        try:
            answer, reason = await self._answer(call, name)
        except ChaparError as error:
            if error.kind is ErrorKind.INTERNAL:
                self._log.error("webhook failed", channel=label, reason=error.reason)
            answer, reason = problem_answer(problem(error)), error.reason
        self._ingress_limiter.answered(label, answer.status, reason)
        await answer.send(send)

    async def _answer(self, call: WebhookCall, name: str) -> tuple[Answer, str]:
        channel = self._channels.get(name)
        path = call.path
        account = self._accounts.find(path["tenant"], name, path["account"]) if channel is not None else None
        if channel is None or account is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_ACCOUNT, "there is no such account")
        if call.method == "GET":
            return self._handshake(channel, account, call), ""
        now_s = self._ingress_limiter.now_ms() / 1000
        hopeless = channel.plausible(account, self._secrets, call.headers, now_s)
        if hopeless is not None:
            raise self._failed(account, call.peer, hopeless)
        held = self._unproven.open(peer_key(call.peer))
        try:
            return await self._proven(channel, account, call, held)
        finally:
            held.release()

    async def _proven(self, channel: Channel, account: Account, call: WebhookCall, held: Held) -> tuple[Answer, str]:
        name = channel.name
        raw = await self._body(call, name, held)
        unproven = channel.prove(account, self._secrets, call.headers, raw, self._ingress_limiter.now_ms() / 1000)
        if unproven is not None:
            raise self._failed(account, call.peer, unproven)
        media = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            self._ingress_limiter.refuse(name, Reason.MEDIA_TYPE)
            body = problem(
                ChaparError(ErrorKind.INVALID, Reason.MEDIA_TYPE, "the body's content type must be application/json")
            )
            return problem_answer(body, status=415), Reason.MEDIA_TYPE
        # Parsing a large body takes longer than the event loop may be blocked.
        large = len(raw) > _INLINE_BYTES
        parsed = await asyncio.to_thread(channel.parse, account, raw) if large else channel.parse(account, raw)
        held.release()
        await self._ingress_limiter.report(account, parsed.reports)
        if parsed.messages:
            messages = with_originals(account, parsed.messages, lambda: raw)
            taken = await self._ingress_limiter.take(
                account, messages, self._origins[name], from_provider=channel.is_provider
            )
        else:
            taken = Taken(())
        return self._outcome(name, parsed, taken)

    def _handshake(self, channel: Channel, account: Account, call: WebhookCall) -> Answer:
        query = dict(parse_qsl(call.query.decode("latin-1"), keep_blank_values=True))
        answer = channel.handshake(account, self._secrets, query)
        if answer is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.METHOD, "this channel accepts only POST")
        if isinstance(answer, Unproven):
            raise self._failed(account, call.peer, answer)
        return text_answer(answer)

    def _failed(self, account: Account, peer: str, unproven: Unproven) -> ChaparError:
        again = self._ingress_limiter.failed_proof(account, peer, unproven.reason)
        return again or ChaparError(ErrorKind.UNAUTHENTICATED, unproven.reason, unproven.description)

    async def _body(self, call: WebhookCall, name: str, held: Held) -> bytes:
        """Return the body. It is charged as it arrives and not kept beyond the limit, whatever Content-Length says.

        If this raises while the caller is still sending, the server reads and discards the rest, so that the caller
        sees the answer.
        """
        declared = call.headers.get("content-length", "")
        expected = int(declared) if declared.isascii() and declared.isdecimal() and len(declared) < 16 else 0
        if expected > self._max:
            raise self._too_large(name)
        raw = bytearray()
        try:
            held.expect(expected)
            with LateTimeout(self._timeout):
                async for chunk in call.body():
                    if len(raw) + len(chunk) > self._max:
                        raise self._too_large(name)
                    held.more(len(chunk))
                    raw += chunk
        except OverBudget as error:
            self._ingress_limiter.refuse(name, Reason.BODY_BUDGET)
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BODY_BUDGET,
                "too many bodies are arriving at the same time; send it again",
                retry_after_s=_BUSY_S,
            ) from error
        except TimeoutError as error:
            self._ingress_limiter.refuse(name, Reason.BODY_TIMEOUT)
            raise ChaparError(ErrorKind.INVALID, Reason.BODY_TIMEOUT, "the body did not arrive in time") from error
        except CallerGone as error:
            raise ChaparError(ErrorKind.INVALID, Reason.DISCONNECTED, "the caller closed the connection") from error
        return bytes(raw)

    def _too_large(self, name: str) -> ChaparError:
        self._ingress_limiter.refuse(name, Reason.BODY_TOO_LARGE)
        return ChaparError(
            ErrorKind.TOO_LARGE, Reason.BODY_TOO_LARGE, f"the body must not be larger than {self._max} bytes"
        )

    def _outcome(self, name: str, parsed: Parsed, taken: Taken) -> tuple[Answer, str]:
        for kind in parsed.ignored:
            self._ingress_limiter.refuse(name, f"IGNORED_{kind.upper()}")
        for refusal in parsed.refused:
            self._ingress_limiter.refuse(name, refusal.reason)
        if taken.refused is not None and (taken.refused.kind is ErrorKind.EXHAUSTED or not taken.records):
            raise taken.refused
        if parsed.refused and not taken.records and not parsed.ignored and not parsed.reports:
            raise refused(parsed.refused)
        body = {
            "accepted": [record.message.message_id for record in taken.records],
            "reports": len(parsed.reports),
            "ignored": len(parsed.ignored),
            "refused": [{"field": each.field[:200], "reason": each.reason} for each in parsed.refused],
        }
        return json_answer(body), ""


def refused(refusals: tuple[Refusal, ...]) -> ChaparError:
    """Return the error for a call of which no message was accepted."""
    first = refusals[0]
    field = first.field[:200]
    text = f"{field}: {first.description}" if field else f"the body {first.description}"
    violations = tuple(FieldViolation(each.field[:200], each.description) for each in refusals[:20])
    return ChaparError(ErrorKind.INVALID, first.reason, text, violations=violations)
