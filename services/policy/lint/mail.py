"""Checks how an e-mail account proves the authors of its mails: with a misspelt setting no author would be proven."""

from __future__ import annotations

from chapar.config.v1 import config_pb2

_WAYS = ("none", "dkim", "trusted_results")


def mail_proof_problem(account: config_pb2.ChannelAccount) -> str:
    """Return the problem with an account's settings; empty for other channels, and for consistent settings."""
    if account.channel != "email":
        return ""
    how = account.settings.get("authentication", "none")
    if how not in _WAYS:
        return f"`authentication` must be one of {', '.join(_WAYS)}"
    if how == "trusted_results" and not account.settings.get("authserv_id", ""):
        return "`authentication: trusted_results` needs the `authserv_id` of the mail server that is trusted"
    if account.settings.get("trusted_hops", "1") not in set("123456789"):
        return "`trusted_hops` must be a number from 1 to 9"
    return ""
