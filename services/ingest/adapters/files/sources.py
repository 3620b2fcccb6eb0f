"""Where files are fetched from: a provider's API, with the account's token.

An address from outside gets the token only if its host is allowed. Redirects are not followed, names are resolved once and
checked (`chassis.pinned`), and a compressed body is not unpacked. Errors are reported by type: their texts contain
addresses, and addresses contain tokens.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx

from services.chassis.outgoing import Outgoing
from services.chassis.pinned import Refused
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.http import json_object
from services.ingest.domain import fetching
from services.ingest.domain.fetching import FetchOutcome, NotFetched
from services.ingest.domain.reasons import Reason

_MAX_ANSWER_BYTES: Final = 64 << 10
_PIECE_BYTES: Final = 64 << 10
_PLAIN: Final = {"accept-encoding": "identity"}


class FetchFailed(Exception):  # noqa: N818 - the name reads as what happened
    """The file was not fetched. `of_account`: other files of the account would not be fetched either."""

    def __init__(self, failed: NotFetched, *, of_account: bool = False) -> None:
        super().__init__(failed.reason)
        self.failed = failed
        self.of_account = of_account or failed.outcome is FetchOutcome.HALTED


class FileSource(Protocol):
    """The files of a channel."""

    def opened(self, reference: str, account: SendingAccount) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield the bytes of a file in pieces. Raises FetchFailed, also between two pieces; Unconfigured, and ChaparError
        for a secret that can't be read."""


class TelegramFiles:
    """Settings: `base_url`. Secrets: `bot_token`, which is part of the address."""

    def __init__(self, http: Outgoing) -> None:
        self._http = http

    @asynccontextmanager
    async def opened(self, reference: str, account: SendingAccount) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `FileSource`: getFile names a path for an hour."""
        token, base = account.secret("bot_token"), account.setting("base_url").rstrip("/")
        url = f"{base}/bot{token}/getFile?file_id={quote(reference, safe='')}"
        body = await _asked(self._http, account.tenant, url, {}, fetching.telegram)
        path = fetching.telegram_path(body)
        if not path:
            raise FetchFailed(NotFetched(FetchOutcome.AGAIN, Reason.UNREADABLE_ANSWER))
        url = f"{base}/file/bot{token}/{path}"
        async with _download(self._http, account.tenant, url, {}, fetching.telegram_download) as pieces:
            yield pieces


class WhatsAppFiles:
    """Settings: `base_url`, `api_version`, `media_hosts`. Secrets: `access_token`."""

    def __init__(self, http: Outgoing) -> None:
        self._http = http

    @asynccontextmanager
    async def opened(self, reference: str, account: SendingAccount) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `FileSource`: the media id names an address for five minutes."""
        token, version = account.secret("access_token"), account.setting("api_version")
        base, headers = account.setting("base_url").rstrip("/"), {"authorization": f"Bearer {token}"}
        url = f"{base}/{version}/{quote(reference, safe='')}"
        body = await _asked(self._http, account.tenant, url, headers, fetching.whatsapp)
        there, _ = fetching.whatsapp_media(body)
        if not there:
            raise FetchFailed(NotFetched(FetchOutcome.AGAIN, Reason.UNREADABLE_ANSWER))
        hosts = account.setting("media_hosts").replace(",", " ").split()
        if not fetching.allowed(there, base, hosts):
            raise FetchFailed(fetching.NOT_ALLOWED)
        async with _download(self._http, account.tenant, there, headers, fetching.whatsapp_download) as pieces:
            yield pieces


async def _asked(
    http: Outgoing,
    tenant: str,
    url: str,
    headers: Mapping[str, str],
    classify: Callable[[int, Mapping[str, Any] | None, str], NotFetched | None],
) -> Mapping[str, Any] | None:
    """Return the provider's JSON object about a file."""
    received = bytearray()
    with _translated(of_account=True):
        async with http.get(tenant, url, {**_PLAIN, **headers}) as response:
            async for chunk in response.aiter_raw(_PIECE_BYTES):
                received += chunk
                if len(received) > _MAX_ANSWER_BYTES:
                    break
    body = json_object(bytes(received))
    failed = classify(response.status_code, body, response.headers.get("retry-after", ""))
    if failed is not None:
        raise FetchFailed(failed, of_account=failed.reason == Reason.HTTP_429 or failed.reason.startswith("HTTP_5"))
    return body


@asynccontextmanager
async def _download(
    http: Outgoing,
    tenant: str,
    url: str,
    headers: Mapping[str, str],
    classify: Callable[[int, str], NotFetched | None],
) -> AsyncIterator[AsyncIterator[bytes]]:
    with _translated():
        async with http.get(tenant, url, {**_PLAIN, **headers}) as response:
            failed = classify(response.status_code, response.headers.get("retry-after", ""))
            if failed is not None:
                raise FetchFailed(failed, of_account=failed.reason == Reason.HTTP_429)
            yield _pieces(response)


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    with _translated():
        async for piece in response.aiter_raw(_PIECE_BYTES):
            yield piece


@contextmanager
def _translated(*, of_account: bool = False) -> Iterator[None]:
    """Translate the errors of the client."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise FetchFailed(NotFetched(FetchOutcome.AGAIN, Reason.NO_CONNECTION), of_account=of_account) from error
    except Refused as error:
        raise FetchFailed(fetching.NOT_ALLOWED) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise FetchFailed(NotFetched(FetchOutcome.HALTED, Reason.BAD_BASE_URL)) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise FetchFailed(NotFetched(FetchOutcome.AGAIN, Reason.TIMEOUT), of_account=of_account) from error
    except httpx.HTTPError as error:
        raise FetchFailed(NotFetched(FetchOutcome.AGAIN, Reason.CONNECTION_CUT), of_account=of_account) from error
