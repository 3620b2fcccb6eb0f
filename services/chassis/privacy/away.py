"""The error for keys whose state is not known now."""

from services.chassis.kafka.away import Away


class KeysAway(Away):
    """The state of a missing key is unknown: its topic cannot be read to its end, or this process is reading it again.

    This does not mean that the key is destroyed. Readers try again, as without a broker.
    """
