"""Receivers of webhooks as operators configure them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured receiver. `secrets`: references, the current one first; `events`: the events that it subscribes to."""

    name: str
    url: str
    secrets: tuple[str, ...]
    events: frozenset[str] = frozenset()
