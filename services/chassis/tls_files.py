"""TLS files that may be replaced at any time, as cert-manager and Strimzi do before a certificate expires.

A context follows its files: each handshake reads them again if they changed. cert-manager writes certificate and key one after another, so a
pair that cannot be read or does not match is left alone, and the old one remains in use.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.chassis.logs import get_logger

Times = tuple[tuple[int, int, int], ...]
"""Time, inode and size of each file. The inode too: an atomic rename may keep the time."""


def file_times(paths: Iterable[Path]) -> Times:
    """Return what changes when one of the files is replaced. Raises OSError for a file that is not there."""
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in (path.stat() for path in paths))


class FollowingContext(ssl.SSLContext):
    """A TLS context with a certificate of its own that follows its files. Connections that exist keep the certificate they began with."""

    _pair: tuple[Path, Path | None] | None = None
    _authority: Path | None = None
    _seen: Times = ()

    @classmethod
    def of_server(cls, cert: Path, key: Path) -> FollowingContext:
        """Make the context of a server. Raises OSError (ssl.SSLError) when the files cannot be used."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._begin((cert, key), None)
        return made

    @classmethod
    def of_client(cls, authority: Path | None, cert: Path | None, key: Path | None) -> FollowingContext:
        """Make the context of a client that trusts `authority`, or the system's authorities. Raises OSError when a file cannot be used."""
        made = cls(ssl.PROTOCOL_TLS_CLIENT)
        if authority is None:
            made.load_default_certs(ssl.Purpose.SERVER_AUTH)
        made._begin((cert, key) if cert is not None else None, authority)
        return made

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin a handshake, for asyncio and uvloop."""
        self._follow()
        return super().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Begin a handshake on a socket."""
        self._follow()
        return super().wrap_socket(*arguments, **options)

    def _begin(self, pair: tuple[Path, Path | None] | None, authority: Path | None) -> None:
        self._pair, self._authority = pair, authority
        self._seen = file_times(self._paths())
        self._load(self)

    def _paths(self) -> list[Path]:
        return [path for path in (*(self._pair or ()), self._authority) if path is not None]

    def _load(self, into: ssl.SSLContext) -> None:
        if self._pair is not None:
            into.load_cert_chain(*self._pair)
        if self._authority is not None:
            # Authorities are added: one that is no longer in the file is trusted until the next start.
            into.load_verify_locations(self._authority)

    def _follow(self) -> None:
        try:
            times = file_times(self._paths())
            if times == self._seen:
                return
            # A pair that does not match would leave this context without a key, so another one tries it first.
            self._load(ssl.SSLContext(self.protocol))
            self._load(self)
        except OSError as error:
            get_logger(__name__).warning("certificate not taken", message=str(error))
            return
        self._seen = times
