"""Bugs that a run can have on purpose. A simulation that does not find them proves nothing."""

from enum import Enum


class Mutation(Enum):
    """One bug each; the value says what is missing."""

    NO_DEDUPLICATION = "the intake lane handles a message again that an edge wrote twice"
    NO_ORIGINS = "lanes handle a record again that a relay wrote twice"
    POSITION_APART = "a lane writes its position after the transaction, not in it"
    NO_FENCING = "an owner that lost its partition can still commit"
    EARLY_EFFECTS = "effects leave the process before the transaction is durable"
    LOST_TIMER = "a lane forgets its timers at a takeover until the next record"
    CAPACITY_OFF_BY_ONE = "the router gives each agent room for one interaction more"
    LOST_NOTICE = "a gateway does not pass on that an assignment has ended"
