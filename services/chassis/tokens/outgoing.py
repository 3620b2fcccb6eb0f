"""Tokens for a service's own calls that another party signs: a mounted file, or client credentials (RFC 6749, 4.4).

Such a token names no tenant, because a service works for all of them: the call names it in metadata, and the verifier allows
that for the subjects that its settings list (`services`).
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Final

from services.chassis.clock import Clock, system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.chassis.reasons import Reason
from services.chassis.tokens.fetching import Fetcher
from services.chassis.tokens.refusals import bad_key
from services.chassis.tokens.settings import ServiceTokenSettings
from services.chassis.tokens.sources import read_secret
from services.chassis.tokens.verifier import MAX_TOKEN_CHARS

_RETRY_S: Final = (1.0, 30.0)
_SHARE_OF_LIFE: Final = 0.5
_DEFAULT_LIFE_S: Final = 300.0


class FileToken:
    """The token in a file that another program renews."""

    names_tenant = True

    def __init__(self, path: Path, look_s: float = 5.0) -> None:
        """`look_s`: a token that was read this many seconds ago is read again. Raise INVALID naming the file when it
        contains no token."""
        self._look_s = look_s
        self._path = path
        self._token = _read(path)
        self._looked = time.monotonic()

    def __call__(self, tenant: str) -> str:
        """Return the token, the same for every tenant."""
        now = time.monotonic()
        if now - self._looked >= self._look_s:
            self._looked = now
            try:
                self._token = _read(self._path)
            except ChaparError as error:  # the file is being replaced, or is gone: our token may still be valid
                get_logger(__name__).warning("service token not read", file=str(self._path), message=error.message)
        return self._token


class ClientCredentials:
    """A token of the company's token endpoint, renewed when half of its life is over. `run` is its background task."""

    names_tenant = True

    def __init__(self, settings: ServiceTokenSettings, http: Fetcher, clock: Clock = system_clock) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._token = ""
        self._ends_s = 0.0
        self._log = get_logger(__name__)

    @property
    def ends_s(self) -> float:
        """When the token ends, Unix time; 0 before the first."""
        return self._ends_s

    def __call__(self, tenant: str) -> str:
        """Return the token, the same for every tenant. Raises UNAVAILABLE while there is no valid one."""
        if not self._token or self._clock() / 1000 >= self._ends_s:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.SERVICE_TOKEN_UNAVAILABLE,
                "this service has no token for its own calls: the token endpoint returned none",
                retry_after_s=_RETRY_S[0],
            )
        return self._token

    async def run(self) -> None:
        """Request tokens for ever."""
        wait = _RETRY_S[0]
        while True:
            try:
                life_s = await self._ask()
            except ChaparError as error:
                self._log.warning("service token not renewed", reason=error.reason, message=error.message)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _RETRY_S[1])
                continue
            wait = _RETRY_S[0]
            await asyncio.sleep(max(_RETRY_S[0], life_s * _SHARE_OF_LIFE))

    async def _ask(self) -> float:
        own = self._settings
        assert own.client_secret_file is not None  # the settings require it
        form = {"grant_type": "client_credentials"}
        if own.scope:
            form["scope"] = own.scope
        if own.audience:
            form["audience"] = own.audience
        # Read each time: a secret that is rotated needs no restart.
        secret = read_secret(own.client_secret_file).decode("utf-8", "replace").strip()
        asked_s = self._clock() / 1000
        raw = await self._http.request("POST", own.token_url, form, auth=(own.client_id, secret))
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise _useless("is not JSON") from error
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS or not token.isascii():
            raise _useless("contains no access_token")
        life_s = answer.get("expires_in", _DEFAULT_LIFE_S)
        if isinstance(life_s, bool) or not isinstance(life_s, int | float) or not 1 <= life_s <= 30 * 86_400:
            raise _useless("has no valid expires_in")
        self._token, self._ends_s = token, asked_s + life_s
        return float(life_s)


def _read(path: Path) -> str:
    token = read_secret(path).decode("utf-8", "replace").strip()
    if not token or len(token) > MAX_TOKEN_CHARS or not token.isascii() or len(token.split()) != 1:
        raise bad_key(f"{path} contains no token")
    return token


def _useless(what: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAVAILABLE, Reason.TOKEN_ENDPOINT, f"the response of the token endpoint {what}")
