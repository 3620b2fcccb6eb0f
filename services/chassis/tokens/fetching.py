"""Fetches small JSON documents of an identity provider by https: bounded in time and size, no redirects, no compression.

The addresses come from the operator's settings, so they may be private; they never come from a caller. A redirect is refused:
a server that can redirect the request for keys could choose the keys.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason
from services.chassis.tokens.keys import MAX_SET_BYTES
from services.chassis.tokens.refusals import bad_key
from services.chassis.tokens.settings import IssuerSettings, loopback

_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class Fetcher:
    """One HTTP client for one provider."""

    def __init__(self, client: httpx.AsyncClient, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def get(self, url: str) -> bytes:
        """Return the body. Raises UNAVAILABLE with the reason."""
        return await self.request("GET", url)

    async def request(self, method: str, url: str, form: Mapping[str, str] | None = None, **more: Any) -> bytes:
        """Make one request; only status 200 is a success."""
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(method, url, data=form, headers=headers, **more) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise _unavailable(f"{_shown(url)} answered {answer.status_code}")
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise _unavailable(f"{_shown(url)} answered with compressed data, which was not requested")
                body = bytearray()
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if len(body) > MAX_SET_BYTES:
                        raise _unavailable(f"{_shown(url)} answered with more than {MAX_SET_BYTES >> 10} KiB")
                return bytes(body)
        except TimeoutError as error:
            raise _unavailable(f"{_shown(url)} did not answer within {self._timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unavailable(f"{_shown(url)} cannot be reached ({type(error).__name__})") from error


@asynccontextmanager
async def fetcher(ca_file: Path | None, timeout_s: float) -> AsyncIterator[Fetcher]:
    """Yield a client that trusts the public authorities, or those in `ca_file`. Raises INVALID when the file is not PEM."""
    try:
        trust: Any = ssl.create_default_context(cafile=str(ca_file)) if ca_file is not None else True
    except (OSError, ssl.SSLError) as error:
        raise bad_key(f"{ca_file} does not contain PEM certificates") from error
    limits = httpx.Limits(max_connections=2, max_keepalive_connections=0)
    async with httpx.AsyncClient(verify=trust, follow_redirects=False, timeout=timeout_s, limits=limits) as client:
        yield Fetcher(client, timeout_s)


async def fetch_keys(issuer: IssuerSettings, http: Fetcher) -> bytes:
    """Return the issuer's key set: from its URL, or from the URL that its discovery document names."""
    if issuer.jwks_url:
        return await http.get(issuer.jwks_url)
    where = issuer.issuer.rstrip("/") + _WELL_KNOWN
    try:
        document = json.loads(await http.get(where))
    except (ValueError, RecursionError) as error:
        raise _unavailable(f"{where} is not JSON") from error
    # OpenID Connect Discovery 4.3: the document must be the issuer's own; another issuer's document could name foreign keys.
    if not isinstance(document, dict) or document.get("issuer") != issuer.issuer:
        raise _unavailable(f"{where} is the document of another issuer")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not (url.startswith("https://") or (loopback(issuer.issuer) and loopback(url))):
        raise _unavailable(f"{where} names no https jwks_uri")
    return await http.get(url)


def _shown(url: str) -> str:
    return url.partition("?")[0]


def _unavailable(message: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAVAILABLE, Reason.ISSUER_UNAVAILABLE, message)
