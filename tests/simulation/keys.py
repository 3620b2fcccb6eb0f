"""Keys of persons and nonces from the seed, so that the same seed writes the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

from services.chassis.privacy import sealing
from services.chassis.privacy.sealing import DataKey
from tests.fakes.privacy import MemoryKeys


class SeededKeys(MemoryKeys):
    """Makes each key from the run's own source of chance."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = Random(chance.getrandbits(64))

    def made(self, tenant: str, owner: str) -> DataKey:
        """Return the owner's key, made if there is none."""
        key = self.newest.get((tenant, owner))
        if key is None:
            secret = sealing.cipher(self._chance.randbytes(32))
            key = DataKey(self._chance.randbytes(sealing.KEY_ID_BYTES), tenant, owner, secret)
            self.by_id[key.key_id] = self.newest[tenant, owner] = key
        return key


@contextmanager
def seeded_nonces(seed: int) -> Iterator[None]:
    """Take the nonces of sealed records from the seed for the time of the block. The ciphers are the real ones."""
    source = Random(seed)
    with patch.object(sealing, "os", SimpleNamespace(urandom=source.randbytes)):
        yield
