"""Seals and opens records and changelog entries with a key of the person.

A sealed part is `version (1) | key id (16) | nonce (12) | AES-256-GCM ciphertext and tag`. Tenant, topic and the record's key are associated
data: a part that is moved to another record, person, topic or tenant cannot be opened.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from chapar.common.v1.privacy_pb2 import SealedEnvelope
from services.chassis.privacy import fields

KEY_ID_BYTES: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_VERSION: Final = 1
_HEAD: Final = 1 + KEY_ID_BYTES
_OVERHEAD: Final = _HEAD + _NONCE + _TAG
_ENTRY: Final = b"\x00sealed\x01"
"""The first bytes of a sealed changelog entry. No MessagePack map, no JSON and no protobuf record begins with a zero byte."""


class Unsealable(Exception):  # noqa: N818 - a verdict about the input
    """The sealed part does not belong to this record, was changed, or has an unknown version. Nothing of it was read."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of a person. `owner` is an identity or a person."""

    key_id: bytes
    tenant: str
    owner: str
    cipher: AESGCM = field(repr=False, compare=False)


class Keys(Protocol):
    """The keys that this process knows and can return without waiting."""

    def find(self, key_id: bytes) -> DataKey | None:
        """Return a key; None when it is destroyed. Raises OSError when that is unknown.

        Before opening a record, the caller makes its keys available (`Keyring.ready`).
        """

    def current(self, tenant: str, owner: str) -> DataKey | None:
        """Return the key that seals new records of this owner; None when there is none. Raises OSError when that is unknown."""


def seal(record: Any, key: DataKey, topic: str, record_key: bytes) -> bytes:
    """Move the personal fields of `record` into its sealed part, and serialise it. Always seals, so that a reader always knows the key."""
    part = type(record)()
    fields.move_out(record, part)
    record.sealed = _encrypt(key, part.SerializeToString(), _associated(record.tenant, topic, record_key))
    return bytes(record.SerializeToString())


def unseal(record: Any, keys: Keys, topic: str, record_key: bytes) -> DataKey | None:
    """Put the personal fields back into `record`; return their key. None for a record that was never sealed, or whose key is destroyed.

    A record with a destroyed key keeps its sealed part (`is_erased`). Raises Unsealable.
    """
    sealed = record.sealed
    if not sealed:
        return None
    key = keys.find(_key_id(sealed))
    if key is None:
        return None
    plain = _decrypt(key, sealed, record.tenant, _associated(record.tenant, topic, record_key))
    part = type(record)()
    try:
        part.ParseFromString(plain)
    except DecodeError as error:
        raise Unsealable("the sealed part is not of this record's type") from error
    record.ClearField(fields.SEALED)
    fields.move_back(part, record)
    return key


def bare(record: Any) -> bytes:
    """Return the record without its personal fields: the part that may be written about a person whose key is destroyed."""
    fields.move_out(record, type(record)())
    return bytes(record.SerializeToString())


def is_erased(record: Any) -> bool:
    """Return whether an opened record belongs to an erased person: its personal fields are empty for ever."""
    return bool(record.sealed)


def seal_entry(value: bytes, key: DataKey, topic: str, entry_key: bytes) -> bytes:
    """Return a whole changelog entry, sealed."""
    return _ENTRY + _encrypt(key, value, _associated(key.tenant, topic, entry_key))


def unseal_entry(value: bytes, keys: Keys, topic: str, entry_key: bytes) -> tuple[bytes, DataKey | None] | None:
    """Return the entry and its key; the unchanged value and None if never sealed; None when the key is destroyed. Raises Unsealable."""
    if not value.startswith(_ENTRY):
        return value, None
    sealed = value[len(_ENTRY) :]
    key = keys.find(_key_id(sealed))
    if key is None:
        return None
    return _decrypt(key, sealed, key.tenant, _associated(key.tenant, topic, entry_key)), key


def key_ids(values: Iterable[bytes | None]) -> Iterator[bytes]:
    """Yield the ids of the keys that are needed to open these record values or changelog entries."""
    for value in values:
        if not value:
            continue
        if value.startswith(_ENTRY):
            sealed = value[len(_ENTRY) :]
        else:
            try:
                sealed = SealedEnvelope.FromString(value).sealed
            except DecodeError:
                continue  # the reader of the record will report it
        if len(sealed) >= _OVERHEAD:
            yield sealed[1:_HEAD]


class KeysAtHand:
    """Implements `Keys` with the keys that these values need: to open them in another thread."""

    def __init__(self, keys: Keys, values: Iterable[bytes | None]) -> None:
        self._by_id = {key_id: keys.find(key_id) for key_id in set(key_ids(values))}

    def find(self, key_id: bytes) -> DataKey | None:
        """See `Keys`."""
        return self._by_id.get(key_id)

    def current(self, tenant: str, owner: str) -> DataKey | None:
        """Return None: these keys do not seal."""
        return None


def cipher(key: bytes) -> AESGCM:
    """Return the cipher of a data key."""
    return AESGCM(key)


def _encrypt(key: DataKey, plain: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return bytes((_VERSION,)) + key.key_id + nonce + key.cipher.encrypt(nonce, plain, associated)


def _decrypt(key: DataKey, sealed: bytes, tenant: str, associated: bytes) -> bytes:
    if key.tenant != tenant:
        raise Unsealable("the key belongs to another tenant")
    nonce = sealed[_HEAD : _HEAD + _NONCE]
    try:
        return key.cipher.decrypt(nonce, sealed[_HEAD + _NONCE :], associated)
    except InvalidTag as error:
        raise Unsealable("the sealed part is not of this record") from error


def _key_id(sealed: bytes) -> bytes:
    if len(sealed) < _OVERHEAD or sealed[0] != _VERSION:
        raise Unsealable("the sealed part is of an unknown version")
    return sealed[1:_HEAD]


def _associated(tenant: str, topic: str, record_key: bytes) -> bytes:
    parts = (tenant.encode("utf-8", "surrogatepass"), topic.encode(), record_key)
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
