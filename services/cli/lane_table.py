"""The lanes that commands can name, and what it means to leave out, to repeat or to forget the work of each.

The names come from the table of topics: a changelog `{lane}.state.v1` follows the lane's input, and the group has the lane's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.contract import LaneSpec
from services.chassis.topics import TOPICS
from services.cli.reasons import Reason

_CHANGELOG: Final = ".state.v1"


@dataclass(frozen=True, slots=True)
class Effects:
    """What operators must know about a lane, as sentences. `rebuilds`: whether reading the input again changes nothing outside."""

    left_out: str
    repeated: str
    forgotten: str
    rebuilds: bool = False


LANES: Final[Mapping[str, LaneSpec]] = MappingProxyType(
    {
        lane: LaneSpec(lane, topic.follows, name, lane)
        for name, topic in TOPICS.items()
        if (lane := name.removesuffix(_CHANGELOG)) != name and topic.follows
    }
)

EFFECTS: Final[Mapping[str, Effects]] = MappingProxyType(
    {
        "ingest-intake": Effects(
            left_out="Messages of customers in these records open no interaction and reach no agent.",
            repeated="Messages that the state no longer knows are written again and open interactions again.",
            forgotten="Conversations lose their open interaction: the next message of each customer opens a new one, and messages that a "
            "provider delivers again are doubled.",
        ),
        "ingest-sender": Effects(
            left_out="Replies and invitations in these records are never sent, and no delivery record says so.",
            repeated="Messages that the state no longer knows are sent to customers again.",
            forgotten="Messages that wait for a rate limit or for another attempt are not sent, and their outcome stays open.",
        ),
        "router": Effects(
            left_out="Interactions in these records are never routed, and commands of agents in them have no effect.",
            repeated="Commands are carried out again unless the state still knows their ids: interactions that have ended are routed again.",
            forgotten="Waiting and assigned interactions, and agents' sessions, are forgotten: agents sign in again, and no interaction of "
            "before is offered.",
        ),
        "sla": Effects(
            left_out="Deadlines of interactions in these records are not watched, and are not ended either.",
            repeated="The events of before are written again with the same ids, so every reader counts them once; webhooks receive them again.",
            forgotten="Deadlines and measures are computed again from the events that the input still has.",
            rebuilds=True,
        ),
        "feedback": Effects(
            left_out="Interactions that end in these records get no invitation, and responses in them are not counted.",
            repeated="Invitations that the state no longer knows are handed out again.",
            forgotten="Open invitations are forgotten: a response to one of them is refused.",
        ),
    }
)


def lane_of(name: str) -> LaneSpec:
    """Return a lane. Raises NOT_FOUND UNKNOWN_LANE."""
    if (found := LANES.get(name)) is None:
        raise ChaparError(
            ErrorKind.NOT_FOUND, Reason.UNKNOWN_LANE, f"no lane is named {name}: there are {', '.join(LANES)}"
        )
    return found
