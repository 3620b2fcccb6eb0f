"""Wraps the persons' keys again after a change of the master key: at the start, and every hour.

Replicas do this at the same time, each starting at another key, and skip keys that another has done. A key that is destroyed meanwhile
stays destroyed (`keyring`).
"""

import asyncio
import os
from typing import Final

from services.chassis.errors import ChaparError
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.privacy import master, sealing
from services.chassis.privacy.away import KeysAway
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import StoredKey

_AT_ONCE: Final = 500
_EVERY_S: Final = 3600.0
_AGAIN_S: Final = 30.0
"""Seconds before the next pass after the broker's absence ended one."""


class Rewrapping:
    """Wraps keys again; see the module."""

    def __init__(self, keys: Keyring, metrics: Metrics) -> None:
        self._keys = keys
        self._rewrapped = metrics.counter("chapar_personal_keys_total").labels("rewrapped")
        self._old = metrics.gauge("chapar_personal_keys_old_master").labels()
        self._log = get_logger(__name__)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                changed, left = await self.once()
            except (BrokerUnavailable, KeysAway):
                await asyncio.sleep(_AGAIN_S)
                continue
            if changed or left:
                self._log.info("keys of persons wrapped by the first master key", changed=changed, left=left)
            await asyncio.sleep(_EVERY_S)

    async def once(self) -> tuple[int, int]:
        """Wrap all keys once; return the number wrapped again and the number that cannot be unwrapped here. Raises BrokerUnavailable, KeysAway."""
        changed, left, begin = 0, 0, os.urandom(sealing.KEY_ID_BYTES)
        after, again = begin, False
        while True:
            await self._keys.settle()  # keys that were destroyed meanwhile are not published again
            page = self._keys.store.page(after, _AT_ONCE)
            if again:
                page = [key for key in page if key.key_id <= begin]
            if page:
                after = page[-1].key_id
                old = [key for key in page if not self._keys.masters.is_current(key.wrapped)]
                done = await asyncio.gather(*(self._anew(key) for key in old))
                changed += sum(done)
                left += len(done) - sum(done)
            elif again:
                self._old.set(left)
                return changed, left
            else:
                after, again = b"", True

    async def _anew(self, stored: StoredKey) -> bool:
        bound = master.about(stored.tenant, stored.owner, stored.key_id)
        try:
            raw = self._keys.masters.unwrap(stored.wrapped, bound)
        except ChaparError:
            return False  # this process lacks the master key: only a process that has it can do this
        wrapped = self._keys.masters.wrap(raw, bound)
        await self._keys.publish(stored.tenant, stored.owner, stored.key_id, wrapped)
        self._rewrapped.inc()
        return True
