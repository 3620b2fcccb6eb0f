"""Checks numbers that the services would refuse, and capacity with which a channel is never served."""

from __future__ import annotations

from collections.abc import Set
from math import inf, isfinite
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chapar.config.v1 import config_pb2
from services.policy.findings import Path
from services.policy.lint.review import Review
from services.policy.reading.routing import LONGEST_WINDOW_MS, MOST_OFFERS

_DAY_MS: Final = 86_400_000
_ROUTED: Final = frozenset({"pools", "queues", "agents", "capacity_profiles", "rules"})
"""The parts that the router reads: it accepts durations up to 366 days. Elsewhere the limit is ten years."""

_RANGES: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("Selector", "weight"): (0, inf),
    ("Queue", "ageing_per_minute"): (0, 1_000_000),
    ("Queue", "service_level_goal"): (0, 1),
    ("Queue", "max_offers"): (0, MOST_OFFERS),
    ("Queue", "keep_free"): (0, 1_000_000),
    ("OverflowRule", "threshold"): (0, 1_000_000),
    ("CapacityProfile", "default_weight"): (0, inf),
    ("ChannelCapacity", "maximum"): (0, inf),
}


def numbers(review: Review) -> None:
    """Check for infinity and NaN, durations that are negative or too long, and values out of range."""
    for descriptor, value in review.configuration.ListFields():
        if descriptor.message_type is not None and descriptor.is_repeated:
            days = 366 if descriptor.name in _ROUTED else 3660
            for index, part in enumerate(value):
                _walk(review, part, (descriptor.name, index), days)


def _walk(review: Review, message: Message, path: Path, days: int) -> None:
    owner: Any = message.DESCRIPTOR
    for descriptor, value in message.ListFields():
        here = (*path, descriptor.name)
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            for key, item in value.items():
                _number(review, owner.name, descriptor, item, (*here, key), days)
        elif descriptor.is_repeated:
            for index, item in enumerate(value):
                if isinstance(item, Message):
                    _walk(review, item, (*here, index), days)
                else:
                    _number(review, owner.name, descriptor, item, (*here, index), days)
        else:
            _number(review, owner.name, descriptor, value, here, days)


def _number(review: Review, owner: str, descriptor: FieldDescriptor, value: Any, path: Path, days: int) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    name = descriptor.name
    if not isfinite(value):
        review.find("OUT_OF_RANGE", f"`{name}` is {value}: give a number", *path)
    elif name == "match_window_ms":
        if not 0 <= value <= LONGEST_WINDOW_MS:
            review.find("OUT_OF_RANGE", f"`match_window` is {value:,} ms: it must be from 0 to 60s", *path)
    elif name.endswith("_ms"):
        if not 0 <= value <= days * _DAY_MS:
            message = f"`{name.removesuffix('_ms')}` is {value:,} ms: it must be from 0 to {days} days"
            review.find("OUT_OF_RANGE", message, *path)
    elif (owner, name) == ("CapacityProfile", "occupancy_limit"):
        if not 0 < value < 1:
            review.find(
                "OUT_OF_RANGE", f"`{name}` is {value:g}: it must be a share between 0 and 1, such as 0.85", *path
            )
    elif (owner, name) in _RANGES:
        least, most = _RANGES[owner, name]
        if not least <= value <= most:
            bounds = f"at least {least:g}" if most == inf else f"from {least:,} to {most:,}"
            review.find("OUT_OF_RANGE", f"`{name}` is {value:g}: it must be {bounds}", *path)


def capacity(review: Review, channels: Set[str]) -> None:
    """Check for profiles without capacity, and for channels that no agent could ever serve. `channels`: all channels that exist."""
    for i, profile in enumerate(review.configuration.capacity_profiles):
        here: Path = ("capacity_profiles", i)
        if profile.total <= 0:
            message = f"profile `{profile.name}` has no capacity: `total` must be positive"
            review.find("NO_CAPACITY", message, *here)
        if profile.default_weight > profile.total > 0:
            message = f"a channel that is not listed weighs {profile.default_weight} of {profile.total}: set a smaller `default_weight`, or 0"
            review.find("IMPOSSIBLE_CHANNEL", message, *here, "default_weight")
        if profile.occupancy_window_ms and not profile.occupancy_limit:
            message = "`occupancy_window` has no effect without an `occupancy_limit`"
            review.find("WINDOW_WITHOUT_LIMIT", message, *here, severity="warning")
        seen: set[str] = set()
        for j, channel in enumerate(profile.channels):
            if channel.channel in seen:
                review.find("DUPLICATE", f"`{channel.channel}` appears twice in this profile", *here, "channels", j)
            seen.add(channel.channel)
            _channel(review, profile, channel, channels, (*here, "channels", j))
    _not_served(review)


def _channel(
    review: Review,
    profile: config_pb2.CapacityProfile,
    channel: config_pb2.ChannelCapacity,
    channels: Set[str],
    path: Path,
) -> None:
    name = channel.channel
    if name not in channels:
        message = f"`{name}` is not one of {', '.join(sorted(channels))}"
        review.find("UNKNOWN_CHANNEL", message, *path, "channel")
    if channel.weight <= 0 or channel.weight > profile.total:
        message = f"one {name} weighs {channel.weight} of {profile.total}: no agent can ever take it"
        review.find("IMPOSSIBLE_CHANNEL", message, *path)
    for other in channel.interrupts:
        if other not in channels:
            message = f"`{other}`, which {name} interrupts, is not one of {', '.join(sorted(channels))}"
            review.find("UNKNOWN_CHANNEL", message, *path, "interrupts")
        elif other == name:
            message = f"a new {name} would park the previous one: remove `{name}` from its `interrupts`"
            review.find("POINTLESS_INTERRUPT", message, *path, "interrupts", severity="warning")
        elif not _takes(profile, other):
            message = f"{name} interrupts {other}, but no agent with profile `{profile.name}` can take any: remove it, or give {other} a weight"
            review.find("POINTLESS_INTERRUPT", message, *path, "interrupts", severity="warning")
    for other in channel.excludes:
        if other not in channels:
            message = f"`{other}`, which {name} excludes, is not one of {', '.join(sorted(channels))}"
            review.find("UNKNOWN_CHANNEL", message, *path, "excludes")
        elif channel.exclusive:
            message = (
                f"{name} is exclusive: remove `excludes`, or `exclusive` if agents may hold other channels beside it"
            )
            review.find("POINTLESS_EXCLUSION", message, *path, "excludes", severity="warning")
        elif other == name:
            message = f"for one {name} at a time, write `maximum: 1` instead of `excludes: [{name}]`"
            review.find("POINTLESS_EXCLUSION", message, *path, "excludes", severity="warning")
        elif not _takes(profile, other):
            message = f"{name} excludes {other}, but no agent with profile `{profile.name}` can take any: remove it"
            review.find("POINTLESS_EXCLUSION", message, *path, "excludes", severity="warning")
    if channel.HasField("weight_while_customer_awaited"):
        _awaited(review, channel, (*path, "weight_while_customer_awaited"))


def _awaited(review: Review, channel: config_pb2.ChannelCapacity, path: Path) -> None:
    name, weight = channel.channel, channel.weight_while_customer_awaited
    if not 0 <= weight <= channel.weight:
        message = f"`weight_while_customer_awaited` is {weight}: it must be from 0 to the weight of one {name}, {channel.weight}"
        review.find("OUT_OF_RANGE", message, *path)
    elif weight == channel.weight or channel.exclusive:
        why = (
            "it is the weight"
            if weight == channel.weight
            else f"{name} is exclusive, also while its customer is awaited"
        )
        review.find("POINTLESS_AWAITED_WEIGHT", f"this makes no room: {why}; remove it", *path, severity="warning")
    elif weight == 0 and not channel.maximum:
        message = f"any number of {name} whose customers are awaited fit one agent, and all may write at once: give it a `maximum`"
        review.find("AWAITED_WITHOUT_LIMIT", message, *path, severity="warning")


def _takes(profile: config_pb2.CapacityProfile, channel: str) -> bool:
    """Return whether an agent who holds no interaction may be assigned one of this channel."""
    weight = next((c.weight for c in profile.channels if c.channel == channel), profile.default_weight)
    return 0 < weight <= profile.total


def _not_served(review: Review) -> None:
    c = review.configuration
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
            review.find("CHANNEL_NOT_SERVED", message, "channels", i)
        elif not any(_takes(profile, channel) for profile in worn):
            message = f"no configured agent's capacity profile takes {channel}, so its interactions wait"
            review.find("CHANNEL_NOT_SERVED", message, "channels", i, severity="warning")
