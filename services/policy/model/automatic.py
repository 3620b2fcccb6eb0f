"""Kinds of automatic messages: who, other than a customer, wrote a message. Ingest decides the kind; every other service only reads it."""

from enum import IntEnum


class AutomaticKind(IntEnum):
    """The kind of an automatic message. The numbers are those of the contract; conditions of rules see the names."""

    NONE = 0
    """A person wrote it, as far as can be known."""
    AUTO_REPLY = 1
    """An out-of-office notice, an acknowledgement, a read receipt: an answer by a machine to a message of ours."""
    BOUNCE = 2
    """A report that a message was not delivered, or not yet."""
    LIST = 3
    """A message of a mailing list."""
    NEWSLETTER = 4
    """A newsletter, a notification, or another message that a machine generated and that answers nothing."""
    OWN = 5
    """A message that Chapar sent itself."""
    SPAM_SUSPECT = 6
    """A mail filter on the way marked it as spam."""

    @property
    def opens(self) -> bool:
        """Return whether a message of this kind can open an interaction: the routing rules decide where it goes."""
        return self not in _OPEN_NOTHING

    @property
    def by_person(self) -> bool:
        """Return whether clocks, surveys, contacts and acknowledgements count the message."""
        return self is AutomaticKind.NONE


def automatic_kind(number: int) -> AutomaticKind:
    """Return the kind of the contract's number. A kind that a later version added is a machine's too, and opens an
    interaction."""
    return AutomaticKind(number) if number in _NUMBERS else AutomaticKind.NEWSLETTER


_NUMBERS = frozenset(AutomaticKind)
_OPEN_NOTHING = frozenset({AutomaticKind.AUTO_REPLY, AutomaticKind.BOUNCE, AutomaticKind.OWN})
