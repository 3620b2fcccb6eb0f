"""Makes one HTTP call to a provider, and classifies its failures.

A request that may have arrived and was not answered is UNKNOWN; one that can't have arrived is RETRY. The call as a
whole has a deadline that is later than the time allowed before the request is sent, so a request that the deadline ends
may have arrived. Connections are reused for two seconds only: on an older connection a provider's close can cross our
request, and a plain RETRY would become UNKNOWN. Redirects are not followed. Errors are reported by type: their texts
contain URLs, and URLs contain tokens.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from services.chassis.destinations import Destinations
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import CONNECT_S, POOL_S, Refused, Resolve, pinned_client, system_resolve
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult

_MAX_ANSWER_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """The provider's answer. `body` is None unless it was a JSON object."""

    status: int
    body: Mapping[str, Any] | None
    retry_after: str


def provider_client(
    rules: Destinations,
    *,
    timeout_s: float = 20.0,
    place_s: float = 20.0,
    connections: int = 500,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve = system_resolve,
) -> Outgoing:
    """Create a client for all providers; the caller closes it.

    `timeout_s`: for the provider, once it may have the request; `place_s`: see `CallLimits`; `tls`: used instead of the
    system's.
    """
    # Connecting has two time-outs, one for the address and one for TLS.
    limits = CallLimits(call_s=POOL_S + 2 * CONNECT_S + timeout_s, place_s=place_s, of_tenant=64, of_host=32)
    return Outgoing(
        pinned_client(rules, timeout_s=timeout_s, connections=connections, tls=tls, resolve=resolve), limits
    )


async def post_json(
    client: Outgoing, tenant: str, url: str, content: bytes, headers: Mapping[str, str] | None = None
) -> Answer | PartResult:
    """POST a JSON document. A PartResult means that there was no answer."""
    try:
        async with client.post(
            tenant, url, content, {"content-type": "application/json", **(headers or {})}
        ) as response:
            received = bytearray()
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > _MAX_ANSWER_BYTES:
                    break
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return PartResult(outcome=Outcome.RETRY, reason=_named(Reason.NO_CONNECTION, error))
    except Refused:
        return PartResult(outcome=Outcome.HALTED, reason=Reason.URL_REFUSED)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError):
        return PartResult(outcome=Outcome.HALTED, reason=Reason.BAD_BASE_URL)
    except (httpx.TimeoutException, TimeoutError):
        return PartResult(outcome=Outcome.UNKNOWN, reason=Reason.TIMEOUT)
    except httpx.HTTPError as error:
        return PartResult(outcome=Outcome.UNKNOWN, reason=_named(Reason.CONNECTION_CUT, error))
    return Answer(response.status_code, json_object(bytes(received)), response.headers.get("retry-after", ""))


def _named(reason: str, error: httpx.HTTPError) -> str:
    return "CONNECT_TIMEOUT" if isinstance(error, httpx.ConnectTimeout) else reason


def json_object(raw: bytes) -> Mapping[str, Any] | None:
    """Return the object in a provider's answer; None when it is not one."""
    try:
        value = msgspec.json.decode(raw)
    except (ValueError, RecursionError):  # also text that is not UTF-8
        return None
    return value if isinstance(value, dict) else None
