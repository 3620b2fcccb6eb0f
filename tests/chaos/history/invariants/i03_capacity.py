"""I3: the weights that an agent holds and is offered never exceed the agent's capacity.

The ledger of docs/routing-policies.md: an interaction counts from its offer (or from an assignment without one) until
the offer ends, the agent loses it, or its wrap-up ends; a parked one does not count. The weight is that of its channel in
the agent's capacity profile; `maximum` limits a channel, `exclusive` all others. While the customer is awaited, it is
`weight_while_customer_awaited`. Only a forced assignment exceeds this, and customers who write again; so a load is judged
when the agent gets something.

The events of one millisecond are judged together, because the partitions do not say which of them came first.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from tests.chaos.history.history import History
from tests.chaos.history.ledger import Ledger
from tests.chaos.history.model import Violation

NAME = "I3"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    for tenant, configuration in configurations(history).items():
        events = [event.value for event in history.topics.routing if event.value.tenant == tenant]
        yield from _judge(configuration, sorted(events, key=lambda event: event.occurred_at_ms))


def configurations(history: History) -> dict[str, config_pb2.TenantConfiguration]:
    """Return the newest configuration of each tenant."""
    return {logged.value.tenant: logged.value for logged in history.topics.configurations}


def _judge(configuration: config_pb2.TenantConfiguration, events: list[router_pb2.RoutingEvent]) -> Iterator[Violation]:
    profiles = profiles_of(configuration)
    ledger = Ledger()
    for at_ms, together in groupby(events, key=lambda event: event.occurred_at_ms):
        touched = set[str]()
        for event in together:
            touched |= ledger.fold(event)
        for agent in sorted(touched):
            if agent in profiles and (excess := exceeds(profiles[agent], ledger, agent, at_ms)):
                yield Violation(NAME, "over capacity", f"agent {agent}", f"{excess} at {at_ms}")


def profiles_of(configuration: config_pb2.TenantConfiguration) -> dict[str, config_pb2.CapacityProfile]:
    """Return the capacity profile of each configured agent: the named one, or the tenant's first."""
    by_name = {profile.name: profile for profile in configuration.capacity_profiles}
    first = next(iter(configuration.capacity_profiles), None)
    found = {agent.agent_id: by_name.get(agent.capacity_profile, first) for agent in configuration.agents}
    return {agent: profile for agent, profile in found.items() if profile is not None}


def weight_of(profile: config_pb2.CapacityProfile, channel: str) -> int:
    """Return the weight of one interaction of a channel."""
    return next((rule.weight for rule in profile.channels if rule.channel == channel), profile.default_weight)


def used_by(profile: config_pb2.CapacityProfile, channels: Counter[str], awaited: Counter[str]) -> int:
    """Return the weight of a load: the number of interactions of each channel, and of those whose customers are awaited."""
    whole = sum(weight_of(profile, channel) * count for channel, count in channels.items())
    less = {
        rule.channel: rule.weight - rule.weight_while_customer_awaited
        for rule in profile.channels
        if rule.HasField("weight_while_customer_awaited")
    }
    return whole - sum(less.get(channel, 0) * count for channel, count in awaited.items())


def exceeds(profile: config_pb2.CapacityProfile, ledger: Ledger, agent: str, at_ms: int) -> str:
    """Return which limit an agent's load exceeds, in words; empty when it exceeds none."""
    channels = ledger.channels(agent)
    used = used_by(profile, channels, ledger.awaited(agent, at_ms))
    if used > profile.total:
        return f"{used} of {profile.total}"
    for rule in profile.channels:
        if rule.maximum and channels[rule.channel] > rule.maximum:
            return f"{channels[rule.channel]} of {rule.maximum} on {rule.channel}"
        if rule.exclusive and channels[rule.channel] and channels.total() > 1:
            return f"{rule.channel} is exclusive, and the agent has {channels.total()} interactions"
    return ""
