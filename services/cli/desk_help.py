"""The commands of the terminal desk, as an agent reads them."""

from collections.abc import Mapping
from typing import Final

_COMMANDS: Final[Mapping[str, str]] = {
    "Enter": "accepts the offer; d declines it",
    "r TEXT": "replies",
    "u PATH": "sends a file",
    "m": "lists approved templates; m NAME | VALUE | VALUE sends one",
    "to, cc ADDRESSES": "choose who gets the next reply by e-mail; all: everyone in the customer's mail",
    "f": "shows the customer's last message unfolded; l links to the newest files",
    "a": "sends your reply again that did not arrive",
    "c": "completes",
    "t QUEUE": "transfers; w QUEUE transfers warm, b takes it back",
    "p INTERACTION": "picks a waiting one",
    "away, available": "set your state; q signs out",
    "r2 TEXT": "replies in interaction 2: a number names one of several, in each command",
}
_WIDTH: Final = max(map(len, _COMMANDS))

HELP: Final = "\n".join(f"  {command:{_WIDTH}}  {meaning}" for command, meaning in _COMMANDS.items())
