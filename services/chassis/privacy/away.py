"""Nothing is known of a key now."""

from services.chassis.kafka.away import Away


class KeysAway(Away):
    """Nothing can be said of a key that is not here: its topic can't be read to its end, or this process is reading it again.

    That is not the same as destroyed. Readers try again, as without a broker.
    """
