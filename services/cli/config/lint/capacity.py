"""Checks numbers that the services would refuse, and capacity with which a channel is never served."""

from __future__ import annotations

from collections.abc import Set
from math import inf, isfinite
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chapar.config.v1 import config_pb2
from services.cli.config.files import Document
from services.cli.config.requirements import Path_

_DAY_MS: Final = 86_400_000
LONGEST_WINDOW_MS: Final = 60_000
"""The longest `match_window` that the router accepts."""
_ROUTED: Final = frozenset({"pools", "queues", "agents", "capacity_profiles", "rules"})
"""The parts that the router reads: it accepts durations up to 366 days. Elsewhere the limit is ten years."""

_RANGES: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("Selector", "weight"): (0, inf),
    ("Queue", "ageing_per_minute"): (0, 1_000_000),
    ("Queue", "service_level_goal"): (0, 1),
    ("Queue", "max_offers"): (0, 10),
    ("Queue", "keep_free"): (0, 1_000_000),
    ("OverflowRule", "threshold"): (0, 1_000_000),
    ("CapacityProfile", "default_weight"): (0, inf),
    ("ChannelCapacity", "maximum"): (0, inf),
}


def numbers(document: Document) -> None:
    """Check for infinity and NaN, durations that are negative or too long, and values out of range."""
    for descriptor, value in document.configuration.ListFields():
        if descriptor.message_type is not None and descriptor.is_repeated:
            days = 366 if descriptor.name in _ROUTED else 3660
            for index, part in enumerate(value):
                _walk(document, part, (descriptor.name, index), days)


def _walk(document: Document, message: Message, path: Path_, days: int) -> None:
    owner: Any = message.DESCRIPTOR
    for descriptor, value in message.ListFields():
        here = (*path, descriptor.name)
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            for key, item in value.items():
                _number(document, owner.name, descriptor, item, (*here, key), days)
        elif descriptor.is_repeated:
            for index, item in enumerate(value):
                if isinstance(item, Message):
                    _walk(document, item, (*here, index), days)
                else:
                    _number(document, owner.name, descriptor, item, (*here, index), days)
        else:
            _number(document, owner.name, descriptor, value, here, days)


def _number(document: Document, owner: str, descriptor: FieldDescriptor, value: Any, path: Path_, days: int) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    name = descriptor.name
    if not isfinite(value):
        document.find("OUT_OF_RANGE", f"`{name}` is {value}: give a number", *path)
    elif name == "match_window_ms":
        if not 0 <= value <= LONGEST_WINDOW_MS:
            document.find("OUT_OF_RANGE", f"`match_window` is {value:,} ms: it must be from 0 to 60s", *path)
    elif name.endswith("_ms"):
        if not 0 <= value <= days * _DAY_MS:
            message = f"`{name.removesuffix('_ms')}` is {value:,} ms: it must be from 0 to {days} days"
            document.find("OUT_OF_RANGE", message, *path)
    elif (owner, name) == ("CapacityProfile", "occupancy_limit"):
        if not 0 < value < 1:
            document.find(
                "OUT_OF_RANGE", f"`{name}` is {value:g}: it must be a share between 0 and 1, such as 0.85", *path
            )
    elif (owner, name) in _RANGES:
        least, most = _RANGES[owner, name]
        if not least <= value <= most:
            bounds = f"at least {least:g}" if most == inf else f"from {least:,} to {most:,}"
            document.find("OUT_OF_RANGE", f"`{name}` is {value:g}: it must be {bounds}", *path)


def capacity(document: Document, channels: Set[str]) -> None:
    """Check for profiles without capacity, and for channels that no agent could ever serve. `channels`: all channels that exist."""
    for i, profile in enumerate(document.configuration.capacity_profiles):
        here: Path_ = ("capacity_profiles", i)
        if profile.total <= 0:
            message = f"profile `{profile.name}` has no capacity: `total` must be positive"
            document.find("NO_CAPACITY", message, *here)
        if profile.default_weight > profile.total > 0:
            message = f"a channel that is not listed weighs {profile.default_weight} of {profile.total}: set a smaller `default_weight`, or 0"
            document.find("IMPOSSIBLE_CHANNEL", message, *here, "default_weight")
        if profile.occupancy_window_ms and not profile.occupancy_limit:
            message = "`occupancy_window` has no effect without an `occupancy_limit`"
            document.find("WINDOW_WITHOUT_LIMIT", message, *here, severity="warning")
        seen: set[str] = set()
        for j, channel in enumerate(profile.channels):
            if channel.channel in seen:
                document.find("DUPLICATE", f"`{channel.channel}` appears twice in this profile", *here, "channels", j)
            seen.add(channel.channel)
            _channel(document, profile, channel, channels, (*here, "channels", j))
    _not_served(document)


def _channel(
    document: Document,
    profile: config_pb2.CapacityProfile,
    channel: config_pb2.ChannelCapacity,
    channels: Set[str],
    path: Path_,
) -> None:
    name = channel.channel
    if name not in channels:
        message = f"`{name}` is not one of {', '.join(sorted(channels))}"
        document.find("UNKNOWN_CHANNEL", message, *path, "channel")
    if channel.weight <= 0 or channel.weight > profile.total:
        message = f"one {name} weighs {channel.weight} of {profile.total}: no agent can ever take it"
        document.find("IMPOSSIBLE_CHANNEL", message, *path)
    for other in channel.interrupts:
        if other not in channels:
            message = f"`{other}`, which {name} interrupts, is not one of {', '.join(sorted(channels))}"
            document.find("UNKNOWN_CHANNEL", message, *path, "interrupts")
        elif other == name:
            message = f"a new {name} would park the previous one: remove `{name}` from its `interrupts`"
            document.find("POINTLESS_INTERRUPT", message, *path, "interrupts", severity="warning")
        elif not _takes(profile, other):
            message = f"{name} interrupts {other}, but no agent with profile `{profile.name}` can take any: remove it, or give {other} a weight"
            document.find("POINTLESS_INTERRUPT", message, *path, "interrupts", severity="warning")


def _takes(profile: config_pb2.CapacityProfile, channel: str) -> bool:
    """Return whether an agent who holds no interaction may be assigned one of this channel."""
    weight = next((c.weight for c in profile.channels if c.channel == channel), profile.default_weight)
    return 0 < weight <= profile.total


def _not_served(document: Document) -> None:
    c = document.configuration
    profiles = {profile.name: profile for profile in c.capacity_profiles}
    if not profiles:
        return
    first = c.capacity_profiles[0]
    worn = [profiles.get(agent.capacity_profile, first) for agent in c.agents] or list(profiles.values())
    seen: set[str] = set()
    for i, account in enumerate(c.channels):
        channel = account.channel
        if channel in seen:
            continue
        seen.add(channel)
        if not any(_takes(profile, channel) for profile in profiles.values()):
            message = f"no capacity profile takes {channel}, so its interactions wait for ever: give it a weight, or a `default_weight`"
            document.find("CHANNEL_NOT_SERVED", message, "channels", i)
        elif not any(_takes(profile, channel) for profile in worn):
            message = f"no configured agent's capacity profile takes {channel}, so its interactions wait"
            document.find("CHANNEL_NOT_SERVED", message, "channels", i, severity="warning")
