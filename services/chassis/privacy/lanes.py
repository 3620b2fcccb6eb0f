"""Sealing for one partition of a lane, its outputs and its changelog: keeps a key for each entry that the lane remembers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from services.chassis.kafka.records import Record
from services.chassis.privacy.sealing import DataKey, Keys, seal_entry, unseal_entry

Prepare = Callable[[Sequence[Record]], Awaitable[None]]
"""Passed to a `LaneRunner`: makes the keys of records and restored entries available before the processor sees them."""


class AwaitedKeys(Keys, Protocol):
    """Keys that can also be awaited and made; in a process, a `keyring.Keyring`."""

    async def ready(self, values: Iterable[bytes | None]) -> None:
        """Wait until each of these can be opened, or is known to be erased. Raises OSError while that is unknown."""

    async def ensure(self, tenant: str, owner: str) -> DataKey:
        """Return the owner's key, made if there is none. Raises BrokerUnavailable."""

    async def existing(self, tenant: str, owner: str) -> DataKey | None:
        """Return the owner's key; None when there is none. Raises BrokerUnavailable."""


_AGAIN_S: Final = 0.5
_OWNERS: Final = b"\x01"
"""An entry's key is the key of its owner. An owner may have two keys for a moment; an erasure destroys both, so either is right."""


async def when_ready(keys: AwaitedKeys, *records: Record) -> None:
    """Wait until these records can be opened, or are known to be erased, without a limit: for readers that have nothing else to do."""
    while True:
        try:
            await keys.ready(record.value for record in records)
        except OSError:
            await asyncio.sleep(_AGAIN_S)
        else:
            return


class EntryKeys:
    """The keys of the entries of one partition's changelog. A lane forgets an entry's key together with the entry."""

    def __init__(self, keys: Keys, changelog: str) -> None:
        self._keys = keys
        self._changelog = changelog
        self._of: dict[bytes, DataKey] = {}
        self.erased: list[bytes] = []
        """Restored entries whose key is destroyed: the lane deletes them when it starts."""

    def opened(self, entry: bytes, value: bytes) -> bytes | None:
        """Return a restored entry as it was put; None when its person is erased. Raises Unsealable."""
        found = unseal_entry(value, self._keys, self._changelog, entry)
        if found is None:
            self.erased.append(entry)
            return None
        plain, key = found
        if key is not None:
            self._of[entry] = key
        return plain

    def choose(self, entry: bytes, used: DataKey | None, tenant: str, owners: Iterable[str]) -> DataKey | None:
        """Return the key of an entry: its own, else that of the current record, else the newest key of the first owner with one.

        Never returns a destroyed key. None when there is no key.
        """
        for known in (self._of.get(entry), used):
            if known is not None and self._keys.find(known.key_id) is not None:
                return known
        for owner in owners:
            current = self._keys.current(tenant, owner) if owner else None
            if current is not None:
                return current
        return None

    def sealed(self, entry: bytes, value: bytes, key: DataKey) -> bytes:
        """Return the entry as it is put into the changelog, and remember its key."""
        self._of[entry] = key
        return seal_entry(value, key, self._changelog, entry)

    def forget(self, entry: bytes) -> None:
        """Forget the key of a deleted entry."""
        self._of.pop(entry, None)

    def put_away(self, entry: bytes, tenant: str, owner: str) -> bytes:
        """Forget the key of an entry that the lane packs, and return what `take_back` needs: at most 16 bytes."""
        key = self._of.pop(entry, None)
        if key is None:
            return b""
        return _OWNERS if (key.tenant, key.owner) == (tenant, owner) else key.key_id

    def take_back(self, entry: bytes, kept: bytes, tenant: str, owner: str) -> None:
        """Remember the key of an entry that the lane unpacks, unless it was destroyed meanwhile."""
        if not kept:
            return
        key = self._keys.current(tenant, owner) if kept == _OWNERS else self._keys.find(kept)
        if key is not None:
            self._of[entry] = key
