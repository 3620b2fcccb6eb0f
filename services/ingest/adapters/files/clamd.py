"""Scans files with ClamAV's daemon: INSTREAM over TCP or a Unix socket. The bytes pass by and are not kept.

→ zINSTREAM\\0, then for each piece 4 bytes of length and the piece, then 4 zero bytes
← stream: OK\\0, or stream: <name> FOUND\\0, or an error
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.domain.reasons import Reason

_MAX_ANSWER: Final = 4096
_RETRY_AFTER_S: Final = 30
_UNIX: Final = "unix:"


class Clamd:
    """Implements `ports.Scanner`."""

    def __init__(self, address: str, within_s: float) -> None:
        """`address`: host:port, or unix:/path."""
        self._address = address
        self._within_s = within_s

    async def is_clean(self, content: AsyncIterator[bytes]) -> bool:
        """See `ports.Scanner.is_clean`."""
        try:
            async with asyncio.timeout(self._within_s):
                answer = await self._ask(content)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise _away() from error
        if answer == b"stream: OK":
            return True
        if answer.startswith(b"stream: ") and answer.endswith(b" FOUND"):
            return False
        # For example INSTREAM size limit exceeded: a file that was not scanned is not served.
        raise _away()

    async def _ask(self, content: AsyncIterator[bytes]) -> bytes:
        reader, writer = await self._connected()
        try:
            writer.write(b"zINSTREAM\0")
            with suppress(ConnectionError):  # it has answered and closed; the answer says why
                async for piece in content:
                    if piece:
                        writer.write(len(piece).to_bytes(4) + piece)
                        await writer.drain()
                writer.write(bytes(4))
                await writer.drain()
            return (await reader.readuntil(b"\0"))[:-1].strip()
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.startswith(_UNIX):
            return await asyncio.open_unix_connection(self._address.removeprefix(_UNIX), limit=_MAX_ANSWER)
        host, _, port = self._address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port), limit=_MAX_ANSWER)


def _away() -> ChaparError:
    return ChaparError(
        ErrorKind.UNAVAILABLE,
        Reason.SCANNER_AWAY,
        "the file can't be scanned now; send it again, it will not be duplicated",
        retry_after_s=_RETRY_AFTER_S,
    )
