"""Notifies other systems: one attempt to reach one system, signed as Standard Webhooks 1.0 define, and the meaning of its response.

Only the receiver decides whether an attempt succeeds: 2xx and nothing else. 410 means that it wants no more notices. Redirects are not
followed. Errors are reported by kind, never with the address, which may contain tokens. Retries are in `services.chassis.webhook_retries`.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from chapar.config.v1 import config_pb2
from services.chassis.destinations import DEVELOPMENT, Destinations, problem_of_url
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import Refused, Resolve, pinned_client, system_resolve
from services.chassis.webhook_keys import key_of

__all__ = [
    "GONE",
    "TAKEN",
    "Endpoint",
    "attempt",
    "endpoints_of",
    "key_of",
    "problem_of",
    "signature",
    "webhook_client",
]

TAKEN: Final = ""
GONE: Final = "GONE"
_SECRETS: Final = ("signing", "previous")
_LIMITS: Final = CallLimits(call_s=10.0, place_s=5.0, of_tenant=16, of_host=8)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured receiver. `secrets`: references, the current one first; `events`: the events that it subscribes to."""

    name: str
    url: str
    secrets: tuple[str, ...]
    events: frozenset[str] = frozenset()


def endpoints_of(webhooks: Iterable[config_pb2.OutgoingWebhook]) -> Mapping[str, Endpoint]:
    """Return the receivers by name. Raises ValueError, with a text for people, for one that cannot be used.

    A URL that leads to a forbidden place does not raise: its attempts fail with URL_REFUSED, and everything else continues.
    """
    found: dict[str, Endpoint] = {}
    for webhook in webhooks:
        problem = _problem_of_secrets(webhook) if webhook.name else "it has no name"
        if problem or webhook.name in found:
            raise ValueError(f"webhook {webhook.name!r}: {problem or 'two webhooks have this name'}")
        references = tuple(webhook.secrets[name] for name in _SECRETS if name in webhook.secrets)
        found[webhook.name] = Endpoint(webhook.name, webhook.url, references, frozenset(webhook.events))
    return found


def problem_of(webhook: config_pb2.OutgoingWebhook, rules: Destinations = DEVELOPMENT) -> str:
    """Return the problem of a webhook's configuration and how to fix it; empty for none.

    Its destination is checked again at each use, by the operator's own rules: a name may have another address by then.
    """
    if not webhook.name:
        return "it has no name"
    return problem_of_url(webhook.url, rules) or _problem_of_secrets(webhook)


def _problem_of_secrets(webhook: config_pb2.OutgoingWebhook) -> str:
    unknown = set(webhook.secrets) - set(_SECRETS)
    if unknown:
        return f"it has secrets of unknown names, {', '.join(sorted(unknown))}: the known names are {' and '.join(_SECRETS)}"
    if "signing" not in webhook.secrets:
        return 'it has no secret: write secrets: {signing: "env:CHAPAR_SECRET_<TENANT>__<NAME>"} or {signing: "file:<secret>/<key>"}'
    return ""


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
