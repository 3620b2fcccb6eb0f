"""Gives messages the bytes of their call, if the account keeps them."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.normalise.originals import keeps_original, original_of
from services.ingest.ports import Account


def with_originals(
    account: Account, messages: Iterable[IncomingMessage], raw: Callable[[], bytes]
) -> tuple[IncomingMessage, ...]:
    """Return the messages of a call with their originals: what the parser has cut out of a call of several persons,
    otherwise the call."""
    if not keeps_original(account.channel, account.settings):
        return tuple(message if message.original is None else replace(message, original=None) for message in messages)
    return tuple(
        message if message.original is not None else replace(message, original=original_of(account.channel, raw()))
        for message in messages
    )
