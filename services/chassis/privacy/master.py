"""Master keys: they protect the persons' keys in the log and on disk. The first one wraps, all of them unwrap, so that one can be replaced."""

import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason

MIN_SECRET_BYTES: Final = 32
_ID: Final = 8
_NONCE: Final = 12
_TAG: Final = 16
_INFO: Final = b"chapar personal keys v1"


class MasterKeys:
    """Wraps and unwraps keys. Made from secrets of at least 32 bytes, the one in use first."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise ValueError("a master key is needed")
        if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.MASTER_KEY_SHORT,
                f"a master key of personal data has at least {MIN_SECRET_BYTES} bytes",
            )
        made = [HKDF(SHA256(), 32, None, _INFO).derive(secret) for secret in secrets]
        self._by_id = {hashlib.sha256(key).digest()[:_ID]: AESGCM(key) for key in made}
        self._current = next(iter(self._by_id))

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """Return the key, encrypted for the log; `about` (its owner) is bound to it."""
        nonce = os.urandom(_NONCE)
        return self._current + nonce + self._by_id[self._current].encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Return the unwrapped key. Raises FAILED_PRECONDITION UNKNOWN_MASTER_KEY, MASTER_KEY_WRONG."""
        master = self._by_id.get(wrapped[:_ID])
        if master is None:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.UNKNOWN_MASTER_KEY,
                "a key of personal data was wrapped by a master key that this process does not have: add its file to personal.key_files",
            )
        try:
            return master.decrypt(wrapped[_ID : _ID + _NONCE], wrapped[_ID + _NONCE :], about)
        except InvalidTag as error:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION, Reason.MASTER_KEY_WRONG, "a key of personal data does not unwrap"
            ) from error

    def knows(self, wrapped: bytes) -> bool:
        """Return whether this process has the master key that wrapped it."""
        return wrapped[:_ID] in self._by_id

    def is_current(self, wrapped: bytes) -> bool:
        """Return whether it is wrapped by the key in use; otherwise it should be wrapped again before the old key is removed."""
        return wrapped[:_ID] == self._current


def has_the_form(wrapped: bytes) -> bool:
    """Return whether these bytes can be a wrapped key: an id, a nonce, and at least one byte with its tag."""
    return len(wrapped) > _ID + _NONCE + _TAG


def about(tenant: str, owner: str, key_id: bytes) -> bytes:
    """Return the owner in the form that is bound to a wrapped key: if the key is moved to another owner, it does not unwrap."""
    return b"\x00".join((tenant.encode("utf-8", "surrogatepass"), owner.encode("utf-8", "surrogatepass"), key_id))
