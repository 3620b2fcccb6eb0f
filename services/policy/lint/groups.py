"""Checks which messages of group chats an account takes: with a misspelt setting it takes all of them."""

from __future__ import annotations

from chapar.config.v1 import config_pb2
from services.policy.model.groups import ADDRESSED, CHANNELS, CHOICES, EACH


def groups_problem(account: config_pb2.ChannelAccount) -> str:
    """Return the problem with an account's settings; empty when there is none."""
    choice = account.settings.get("groups", "")
    if not choice:
        return ""
    if account.channel not in CHANNELS:
        return f"`groups` has no effect on {account.channel}: only {', '.join(CHANNELS)} have groups"
    if choice not in CHOICES:
        return f"`groups` must be one of {', '.join(CHOICES)}; the default is {EACH}"
    if choice == ADDRESSED and account.channel != "whatsapp" and not account.settings.get("bot_username", ""):
        return "`groups: addressed` needs the `bot_username`, by which members of a group address the bot"
    return ""
