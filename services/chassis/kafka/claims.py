"""Who owns a partition: the claim in its changelog.

A claim names the incarnation of a writer (see `writer`). The steps of a takeover, in this order:

1. ask the group's coordinator whether the partition is still ours (`Input.still_ours`);
2. initialise the claim's own transactional id, `{lane}-{partition}-claim`: rival claimants can no longer claim, and the last
   claim is complete;
3. read the changelog; if its claim names another incarnation, fence that one's ids: its last transaction is complete after that;
4. read the changelog to its end, which is final now, and restore;
5. write our claim with the claim's id and commit: refused if another process has come to step 2 since;
6. write with our incarnation from now on. When the partition is revoked: finish, then write a free claim, and wait until
   readers see it, so that the next owner need not fence us and with us all our other partitions.

Why it is safe: see docs/lanes.md.
"""

from typing import Final

import msgspec

from services.chassis.kafka.changelog_codec import ChangelogCodec

CLAIM_KEY: Final = b"\x00claim"


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """The owner of a partition. New fields go to the end, with a default."""

    writer: str
    """The incarnation; empty: the partition is free."""
    turns: int
    """How many ids take turns in that incarnation."""
    epoch: int
    """The number of this ownership: unique, and increasing."""
    input: str = ""
    """The id of the input's topic (`transactions.topic_ids`) to which positions after this claim belong; empty if unknown."""
    refused: str = ""
    """Why no lane may go on from this changelog until an operator has decided (`witness`); empty: it may. Such a claim is free."""
    skips: tuple[int, ...] = ()
    """Offsets of the input that an operator has decided to skip and that may lie before the lane."""
    log: str = ""
    """The id of the changelog's topic when this claim was made; empty if unknown."""
    begin: int = 0
    """The first offset of the changelog when this claim was made."""
    version: str = ""
    """The version of Chapar that made this claim; empty for one that did not say it."""
    newest: int = 0
    """The newest format of entries that it reads; 0 for one that did not say it."""

    @property
    def free(self) -> bool:
        """Whether no incarnation owns the partition."""
        return not self.writer

    def ended_by(self, other: "Claim | None") -> bool:
        """Whether another one of the same partition was written after this one."""
        return other is not None and other.epoch > self.epoch

    def released(self) -> "Claim":
        """Return the free claim that ends this one."""
        return msgspec.structs.replace(self, writer="", refused="")

    def encode(self) -> bytes:
        """Return the record's value."""
        return _CLAIMS.encode(self)

    @staticmethod
    def decode(value: bytes) -> "Claim":
        """Parse the value. Raises UnknownVersion, and msgspec.DecodeError for bytes that are not a claim."""
        return _CLAIMS.decode(value)


def claim_id(prefix: str, lane: str, partition: int) -> str:
    """Return the transactional id with which claims of a partition are written. `prefix`: the installation's."""
    return f"{prefix}{lane}-{partition}-claim"


_CLAIMS: Final = ChangelogCodec[Claim](Claim)
