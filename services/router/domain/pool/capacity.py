"""The capacity ledger: one account for everything that takes an agent's capacity: offered, held, or in wrap-up.

A load is a sorted tuple of (channel, count, number of those whose customer is awaited). That number is 0 where the profile has no weight of
its own for them. Agents of one profile with the same load can take the same interactions, so what fits is
computed once for each load and cached.
"""

from functools import lru_cache

from services.policy.model.routing import CapacityProfile, ChannelCapacity

Load = tuple[tuple[str, int, int], ...]
EMPTY: Load = ()


class Capacity:
    """The rules of a capacity profile."""

    __slots__ = ("_by_channel", "_fits", "_room", "_used", "interrupting", "profile")

    def __init__(self, profile: CapacityProfile) -> None:
        self.profile = profile
        self._by_channel = {channel.channel: channel for channel in profile.channels}
        self._fits: dict[tuple[Load, str], bool] = {}
        self._used: dict[Load, int] = {EMPTY: 0}
        self._room: dict[Load, bool] = {}
        self.interrupting = any(channel.interrupts for channel in profile.channels)

    @property
    def total(self) -> int:
        """The profile's total capacity."""
        return self.profile.total

    def used(self, load: Load) -> int:
        """Return the weight of a load."""
        found = self._used.get(load)
        if found is None:
            found = self._used[load] = sum(
                self.weight(channel) * (count - light) + self.weight(channel, light=True) * light
                for channel, count, light in load
            )
        return found

    def ratio(self, load: Load) -> float:
        """Return the weight of a load divided by the total capacity."""
        return self.used(load) / self.total if self.total > 0 else 1.0

    def fits(self, load: Load, channel: str) -> bool:
        """Whether one more interaction of a channel fits on top of a load."""
        key = (load, channel)
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = not self.refusal(load, channel)
        return found

    def room(self, load: Load, channel: str, most: int) -> int:
        """How many more interactions of a channel fit on top of a load, counted up to `most`."""
        count = 0
        while count < most and self.fits(load, channel):
            load = plus(load, channel, 1)
            count += 1
        return count

    def has_room(self, load: Load) -> bool:
        """Whether an interaction of any channel fits on top of a load."""
        found = self._room.get(load)
        if found is None:
            # "" represents all channels that the profile does not list.
            found = self._room[load] = any(self.fits(load, channel) for channel in (*self._by_channel, ""))
        return found

    def interruptible(self, load: Load) -> bool:
        """Whether something in a load may be parked to make room for another channel."""
        if not self.interrupting:
            return False
        held = {channel for channel, _, _ in load}
        return any(not held.isdisjoint(channel.interrupts) for channel in self.profile.channels)

    def interrupts(self, channel: str) -> tuple[str, ...]:
        """Return the channels that a channel may interrupt."""
        return self._rule(channel).interrupts

    def weight(self, channel: str, *, light: bool = False) -> int:
        """Return the weight of one interaction of a channel; `light`: while its customer is awaited."""
        rule = self._rule(channel)
        return rule.weight if not light or rule.awaited_weight is None else rule.awaited_weight

    def lightens(self, channel: str) -> bool:
        """Whether an interaction of a channel takes another weight while its customer is awaited."""
        rule = self._rule(channel)
        return rule.awaited_weight not in (None, rule.weight)

    def refusal(self, load: Load, channel: str, *, light: bool = False) -> str:
        """Return why one more interaction of a channel does not fit, as a code; empty when it fits. `light`: its customer is awaited."""
        rule = self._rule(channel)
        if rule.weight <= 0:
            return "CHANNEL_NOT_SERVED"
        if load and (rule.exclusive or any(self._excludes(held, channel) for held, _, _ in load)):
            return "EXCLUSIVE_CHANNEL"
        count = next((n for held, n, _ in load if held == channel), 0)
        if rule.maximum and count >= rule.maximum:
            return "CHANNEL_FULL"
        if self.used(load) + self.weight(channel, light=light) > self.total:
            return "NO_CAPACITY"
        return ""

    def _excludes(self, held: str, channel: str) -> bool:
        rule = self._rule(held)
        return rule.exclusive or channel in rule.excludes

    def _rule(self, channel: str) -> ChannelCapacity:
        return self._by_channel.get(channel) or ChannelCapacity(channel, self.profile.default_weight)


@lru_cache(maxsize=65_536)
def plus(load: Load, channel: str, by: int, light: int = 0) -> Load:
    """Return a load with one channel's count changed, and the number of those whose customer is awaited.

    Raises ValueError when a count would fall below zero, or more are light than there are.
    """
    count = lighter = 0
    others = []
    for held, n, of_these in load:
        if held == channel:
            count, lighter = n, of_these
        else:
            others.append((held, n, of_these))
    count += by
    lighter += light
    if not 0 <= lighter <= count:
        raise ValueError(f"the ledger has no {channel} to give back")
    if count:
        others.append((channel, count, lighter))
    return tuple(sorted(others))
