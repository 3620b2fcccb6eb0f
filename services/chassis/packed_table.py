"""A table of small values by digest, for very many of them: it needs about 22 bytes a value, where a dictionary needs 200.

A dictionary keeps an object for each key and each value. Here a bucket is one object with about 16 records, each of which is
`digest (16) | length (3) | value`. A look-up reads one bucket. The table grows by one bucket at a time (linear hashing), so no
call takes long.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 16
MAX_VALUE_BYTES: Final = (1 << 24) - 1
_HEAD: Final = DIGEST_BYTES + 3
_FILL: Final = 16


def digest_of(name: str) -> bytes:
    """Return the digest of a name."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


class PackedTable:
    """Values of up to 16 MB by digest."""

    __slots__ = ("_buckets", "_count", "_next", "_round")

    def __init__(self) -> None:
        self._buckets = [b""]
        self._count = 0
        self._round = 1
        """Buckets at the beginning of this round of growth: a power of two."""
        self._next = 0
        """The bucket that is divided next. Those before it were divided in this round."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (digest, value), in no order. The table must not change meanwhile."""
        for bucket in self._buckets:
            for at, end in _records(bucket):
                yield bucket[at : at + DIGEST_BYTES], bucket[at + _HEAD : end]

    def get(self, digest: bytes) -> bytes | None:
        """Return a value; None when there is none."""
        bucket = self._buckets[self._place(digest)]
        found = _find(bucket, digest)
        return None if found is None else bucket[found[0] + _HEAD : found[1]]

    def put(self, digest: bytes, value: bytes) -> None:
        """Add or replace a value. Raises ValueError for one that is too long."""
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a value of {len(value)} bytes is too long")
        self.pop(digest)
        self._buckets[self._place(digest)] += digest + len(value).to_bytes(3, "big") + value
        self._count += 1
        if self._count > _FILL * len(self._buckets):
            self._grow()

    def pop(self, digest: bytes) -> bytes | None:
        """Remove and return a value; None when there is none."""
        place = self._place(digest)
        bucket = self._buckets[place]
        found = _find(bucket, digest)
        if found is None:
            return None
        at, end = found
        self._buckets[place] = bucket[:at] + bucket[end:]
        self._count -= 1
        return bucket[at + _HEAD : end]

    def _place(self, digest: bytes) -> int:
        number = int.from_bytes(digest[:8], "big")
        place = number & (self._round - 1)
        return place if place >= self._next else number & (2 * self._round - 1)

    def _grow(self) -> None:
        """Divide one bucket: some of its records move to a new one at the end."""
        divided = self._next
        self._buckets.append(b"")
        self._next += 1
        records: dict[int, list[bytes]] = {divided: [], len(self._buckets) - 1: []}
        bucket = self._buckets[divided]
        for at, end in _records(bucket):
            records[self._place(bucket[at : at + DIGEST_BYTES])].append(bucket[at:end])
        for place, found in records.items():
            self._buckets[place] = b"".join(found)
        if self._next == self._round:
            self._round, self._next = 2 * self._round, 0


def _records(bucket: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(bucket):
        end = at + _HEAD + int.from_bytes(bucket[at + DIGEST_BYTES : at + _HEAD], "big")
        yield at, end
        at = end


def _find(bucket: bytes, digest: bytes) -> tuple[int, int] | None:
    """Return where a record begins and ends."""
    if digest not in bucket:
        return None
    # A value may contain the digest too.
    return next(((at, end) for at, end in _records(bucket) if bucket.startswith(digest, at)), None)
