"""The engine's part of the lane's changelog: its entries and their encoding.

Keys: `w/<interaction>` an interaction, `p/<plan>` a frozen plan, `t/<json>` a tally, `v/<tenant>` the version of its
configuration against which open interactions have been checked. Values: the domain's own fields by name (`ChangelogCodec`),
so that a field with a default can be added while old records are read. To remove or rename a field, write a migration
here.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.policy.model.sla import Plan, Target
from services.sla.domain.interaction import TrackedInteraction
from services.sla.domain.measures import WHOLE_DAY, Tally, TallyKey

_INTERACTION, _PLAN, _TALLY, _VERSION = b"w/", b"p/", b"t/", b"v/"
_ENTRIES: Final = ChangelogCodec[Any](Any)
_decode_interaction: Final = ChangelogCodec[TrackedInteraction](TrackedInteraction).decode
_decode_plan: Final = ChangelogCodec[Plan](Plan).decode
_decode_tally: Final = ChangelogCodec[Tally](Tally).decode
_decode_version: Final = ChangelogCodec[int](int).decode
_decode_key: Final = msgspec.json.Decoder(list[str | int]).decode


@dataclass(frozen=True, slots=True)
class KeptTally:
    """A tally with its key."""

    key: TallyKey
    tally: Tally


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version with its tenant."""

    tenant: str
    version: int


def interaction_key(interaction_id: str) -> bytes:
    """Return the key of an interaction."""
    return _INTERACTION + interaction_id.encode()


def plan_key(plan_id: str) -> bytes:
    """Return the key of a plan."""
    return _PLAN + plan_id.encode()


def tally_key(key: TallyKey) -> bytes:
    """Return the key of a tally."""
    whole = (key.tenant, key.day, key.queue, key.channel, int(key.target))
    return _TALLY + msgspec.json.encode(whole if key.slot == WHOLE_DAY else (*whole, key.slot))


def version_key(tenant: str) -> bytes:
    """Return the key of a tenant's version."""
    return _VERSION + tenant.encode()


def encode(value: TrackedInteraction | Plan | Tally | int) -> bytes:
    """Return the value of an entry."""
    return _ENTRIES.encode(value)


def decode(key: bytes, value: bytes) -> TrackedInteraction | Plan | KeptTally | KeptVersion | None:
    """Decode an entry; None for a key of another kind. Raises UnknownVersion or msgspec.MsgspecError for an entry that
    this module did not write."""
    prefix = key[:2]
    if prefix == _INTERACTION:
        return _decode_interaction(value)
    if prefix == _PLAN:
        return _decode_plan(value)
    if prefix == _TALLY:
        return KeptTally(tally_key_of(key), _decode_tally(value))
    if prefix == _VERSION:
        return KeptVersion(key[len(_VERSION) :].decode(), _decode_version(value))
    return None


def tally_key_of(key: bytes) -> TallyKey:
    """Decode the key of a tally."""
    tenant, day, queue, channel, target, *slot = _decode_key(key[len(_TALLY) :])
    return TallyKey(
        str(tenant), int(day), str(queue), str(channel), Target(int(target)), int(slot[0]) if slot else WHOLE_DAY
    )
