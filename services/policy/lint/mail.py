"""Checks how an e-mail account proves the authors of its mails: with a misspelt setting no author would be proven."""

from __future__ import annotations

from chapar.config.v1 import config_pb2
from services.policy.model.mail_proof import HOPS, NONE, ONE_HOP, TRUSTED_RESULTS, WAYS


def mail_proof_problem(account: config_pb2.ChannelAccount) -> str:
    """Return the problem with an account's settings; empty for other channels, and for consistent settings."""
    if account.channel != "email":
        return ""
    how = account.settings.get("authentication", NONE)
    if how not in WAYS:
        return f"`authentication` must be one of {', '.join(WAYS)}"
    if how == TRUSTED_RESULTS and not account.settings.get("authserv_id", ""):
        return "`authentication: trusted_results` needs the `authserv_id` of the mail server that is trusted"
    if account.settings.get("trusted_hops", ONE_HOP) not in HOPS:
        return "`trusted_hops` must be a number from 1 to 9"
    return ""
