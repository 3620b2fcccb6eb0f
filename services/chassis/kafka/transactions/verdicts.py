"""What an error code of a broker means for a transaction. One table, for all four requests.

The codes and their meanings: https://kafka.apache.org/protocol#protocol_error_codes and KIP-890, KIP-360, KIP-588.
"""

from enum import Enum
from typing import Final


class Verdict(Enum):
    """What to do next."""

    DONE = "done"
    RETRY = "retry"
    """Send the same bytes again, with the same sequence, after a short wait and a look at the metadata."""
    ABORT = "abort"
    """This transaction cannot be committed; the producer can begin another after the abort."""
    FENCED = "fenced"
    """Another process has initialised the transactional id."""
    FATAL = "fatal"
    """The producer cannot be used any more."""


NO_ERROR: Final = 0
CONCURRENT_TRANSACTIONS: Final = 51

INVALID_TXN_STATE: Final = 48
OPERATION_NOT_ATTEMPTED: Final = 55
"""A partition was not added to the transaction because another one of the request could not be: it is not at fault."""

_DUPLICATE_SEQUENCE_NUMBER: Final = 46

_RETRY: Final = frozenset(
    {
        3,  # UNKNOWN_TOPIC_OR_PARTITION: metadata on the way
        5,  # LEADER_NOT_AVAILABLE
        6,  # NOT_LEADER_OR_FOLLOWER
        7,  # REQUEST_TIMED_OUT
        8,  # BROKER_NOT_AVAILABLE
        9,  # REPLICA_NOT_AVAILABLE
        13,  # NETWORK_EXCEPTION
        14,  # COORDINATOR_LOAD_IN_PROGRESS
        15,  # COORDINATOR_NOT_AVAILABLE
        16,  # NOT_COORDINATOR
        19,  # NOT_ENOUGH_REPLICAS
        20,  # NOT_ENOUGH_REPLICAS_AFTER_APPEND: the sequence makes the second attempt harmless
        51,  # CONCURRENT_TRANSACTIONS: the markers of the last transaction are on their way
        56,  # KAFKA_STORAGE_ERROR
        74,  # FENCED_LEADER_EPOCH
        75,  # UNKNOWN_LEADER_EPOCH
        89,  # THROTTLING_QUOTA_EXCEEDED
    }
)
_FENCED: Final = frozenset(
    {
        47,  # INVALID_PRODUCER_EPOCH
        90,  # PRODUCER_FENCED
    }
)
_FATAL: Final = frozenset(
    {
        31,  # CLUSTER_AUTHORIZATION_FAILED
        35,  # UNSUPPORTED_VERSION
        45,  # OUT_OF_ORDER_SEQUENCE_NUMBER
        INVALID_TXN_STATE,
        49,  # INVALID_PRODUCER_ID_MAPPING
        50,  # INVALID_TRANSACTION_TIMEOUT
        53,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        58,  # SASL_AUTHENTICATION_FAILED
        59,  # UNKNOWN_PRODUCER_ID
    }
)


def verdict_of(code: int) -> Verdict:
    """Return what an error code means. A code that is not in the table concerns the records or their topic: abort."""
    if code in (NO_ERROR, _DUPLICATE_SEQUENCE_NUMBER):  # a duplicate is written already
        return Verdict.DONE
    if code in _RETRY:
        return Verdict.RETRY
    if code in _FENCED:
        return Verdict.FENCED
    if code in _FATAL:
        return Verdict.FATAL
    return Verdict.ABORT
