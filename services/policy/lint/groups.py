"""Checks that members of a group can address a bot whose account takes only addressed messages."""

from __future__ import annotations

from chapar.config.v1 import config_pb2
from services.policy.model.groups import ADDRESSED


def groups_problem(account: config_pb2.ChannelAccount) -> str:
    """Return the problem with an account's settings; empty when there is none."""
    addressed = account.channel == "telegram" and account.settings.get("groups") == ADDRESSED
    if addressed and not account.settings.get("bot_username"):
        return "`groups: addressed` needs the `bot_username`, by which members of a group address the bot"
    return ""
