"""The one error of this package: a sentence that says what is wrong and what to do."""

from __future__ import annotations


class BrokerError(Exception):
    """A problem that the user can fix; its text is one sentence, ready to print."""
