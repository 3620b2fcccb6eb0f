"""To whom the agent's next reply by e-mail goes: the customer alone, unless the agent has typed other addresses."""

from typing import Final

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.policy.model.mail_addresses import first_wrong

WORDS: Final = frozenset({"to", "cc", "all"})
"""The commands that choose recipients."""


class ReplyRecipients:
    """The choices of one agent, by the number of the interaction. A choice is for one reply."""

    def __init__(self) -> None:
        self._others: dict[int, tuple[str, ...]] = {}
        """The other recipients of the customer's newest mail."""
        self._to: dict[int, tuple[str, ...]] = {}
        self._cc: dict[int, tuple[str, ...]] = {}

    def saw(self, number: int, message: records_pb2.ConversationMessage) -> str:
        """Remember the recipients of a message; returns a note about them, empty when there is nothing to say."""
        said = [
            f"{name} {', '.join(found)}" for name, found in (("to", message.to), ("cc", message.cc)) if len(found) > 0
        ]
        everyone = (*message.to, *message.cc)
        if message.author_kind == types_pb2.ACTOR_KIND_CUSTOMER and everyone:
            self._others[number] = everyone
        notes = ["; ".join(said)] if len(everyone) > 1 else []
        if message.participant:
            notes.append(f"from {message.origin.author or 'another person'}, who is not the customer")
        return "; ".join(notes)

    def choose(self, number: int, word: str, rest: str) -> str:
        """Carry out `to`, `cc` or `all`; returns what to show."""
        chosen = tuple(rest.replace(",", " ").split())
        if word == "all":
            self._cc[number] = self._others.get(number, ())
        elif wrong := first_wrong(chosen, ()):
            return wrong
        else:
            (self._to if word == "to" else self._cc)[number] = chosen
        to, cc = self._to.get(number, ()), self._cc.get(number, ())
        copies = f"; cc {', '.join(cc)}" if cc else ""
        return f"the next reply goes to {', '.join(to) or 'the customer'}{copies}"

    def take(self, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the recipients of the reply that the agent has typed, and forget the choice."""
        return self._to.pop(number, ()), self._cc.pop(number, ())
