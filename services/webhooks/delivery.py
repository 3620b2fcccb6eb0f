"""Notifies other systems: one attempt to reach one system, signed as Standard Webhooks 1.0 define, and the meaning of its response.

Only the receiver decides whether an attempt succeeds: 2xx and nothing else. 410 means that it wants no more notices. Redirects are not
followed. Errors are reported by kind, never with the address, which may contain tokens. Retries are in `services.webhooks.retries`.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import httpx

from services.chassis.destinations import Destinations
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import Refused, Resolve, pinned_client, system_resolve

TAKEN: Final = ""
GONE: Final = "GONE"
_LIMITS: Final = CallLimits(call_s=10.0, place_s=5.0, of_tenant=16, of_host=8)


def webhook_client(
    rules: Destinations, connections: int = 200, resolve: Resolve = system_resolve, limits: CallLimits = _LIMITS
) -> Outgoing:
    """Return a client for all receivers; the caller closes it."""
    return Outgoing(pinned_client(rules, timeout_s=limits.call_s, connections=connections, resolve=resolve), limits)


async def attempt(
    client: Outgoing, tenant: str, url: str, keys: Iterable[bytes], message_id: str, body: bytes, now_ms: int
) -> str:
    """Send one POST of a JSON document. Return TAKEN, GONE, or why it was not taken, as a short upper-case code."""
    stamp = str(now_ms // 1000)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signature(key, message_id, stamp, body) for key in keys),
    }
    try:
        # The response's body is not used, however long it is.
        async with client.post(tenant, url, body, headers) as response:
            status = response.status_code
    except Refused:
        return "URL_REFUSED"
    except (httpx.ConnectError, httpx.PoolTimeout):
        return "NO_CONNECTION"
    except (httpx.TimeoutException, TimeoutError):
        return "TIMEOUT"
    except (httpx.HTTPError, httpx.InvalidURL):
        return "CONNECTION_CUT"
    if 200 <= status < 300:
        return TAKEN
    return GONE if status == 410 else f"HTTP_{status}"


def signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """Return `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
