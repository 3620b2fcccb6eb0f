"""Sources of an issuer's keys. All have one interface: candidates for a key id, at once and without waiting."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from services.chassis.errors import ChaparError
from services.chassis.logs import get_logger
from services.chassis.tokens.keys import VerificationKey, key_of_pem, keys_of_set
from services.chassis.tokens.refusals import bad_key

_LOOK_S: Final = 5.0
_MOST_CANDIDATES: Final = 4


class KeySource(Protocol):
    """The keys of one issuer."""

    @property
    def generation(self) -> int:
        """Increases whenever keys change: tokens that were verified with other keys must be verified again."""

    def candidates(self, key_id: str) -> Sequence[VerificationKey]:
        """Return the keys that may have signed a token with this key id (empty: a token without one).

        Raises UNAVAILABLE when no keys can be trusted.
        """

    async def fetch_for(self, key_id: str) -> None:
        """Try to make an unknown key id known. Returns at once if that cannot happen."""


def choose(keys: Sequence[VerificationKey], key_id: str) -> Sequence[VerificationKey]:
    """Choose by key id. A token without one, or a key without one, fits only when there is a single key."""
    if len(keys) == 1 and (not key_id or not keys[0].key_id):
        return keys
    return [key for key in keys if key_id and key.key_id == key_id][:_MOST_CANDIDATES]


class FixedKeys:
    """A fixed list of keys."""

    generation = 0

    def __init__(self, *keys: VerificationKey) -> None:
        self._keys = keys

    def candidates(self, key_id: str) -> Sequence[VerificationKey]:
        """See `KeySource`."""
        return choose(self._keys, key_id)

    async def fetch_for(self, key_id: str) -> None:
        """Return at once: there are no other keys."""


class FileKeys:
    """Keys in a file, read again when it changes: a Secret that Kubernetes renews needs no restart."""

    def __init__(self, path: Path, read: Callable[[bytes, str], Sequence[VerificationKey]]) -> None:
        """Raise INVALID naming the file when it cannot be used."""
        self._path = path
        self._read = read
        self._stamp = _stamp(path)
        self._keys = read(read_file(path), str(path))
        self._looked = time.monotonic()
        self.generation = 0

    def candidates(self, key_id: str) -> Sequence[VerificationKey]:
        """See `KeySource`."""
        self._look(_LOOK_S)
        return choose(self._keys, key_id)

    async def fetch_for(self, key_id: str) -> None:
        """Check the file now; one stat a second at most."""
        self._look(1.0)

    def _look(self, least_s: float) -> None:
        now = time.monotonic()
        if now - self._looked < least_s:
            return
        self._looked = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            self._keys = self._read(read_file(self._path), str(self._path))
        except ChaparError as error:  # the keys that were read before stay in force; a partial file is read again
            get_logger(__name__).error("token keys refused", file=str(self._path), message=error.message)
            return
        self._stamp = stamp
        self.generation += 1


def pem_file(path: Path) -> FileKeys:
    """Return a source for one public key in a PEM file."""
    return FileKeys(path, lambda raw, where: (key_of_pem(raw, where),))


def set_file(path: Path) -> FileKeys:
    """Return a source for a JSON Web Key Set in a file."""
    return FileKeys(path, keys_of_set)


def read_file(path: Path) -> bytes:
    """Return the bytes of a small file. Raises INVALID naming it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise bad_key(f"cannot read {path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """Return the shared secret in a file, without the newline that editors add."""
    return read_file(path).rstrip(b"\r\n")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
