"""The one error of this room: a sentence for a person, saying what is wrong and what to do."""

from __future__ import annotations


class BrokerError(Exception):
    """Something that the person at the keyboard can put right; its text is one sentence, ready to print."""
