"""Checks how an e-mail account proves the authors of its mails: without the name of the trusted server no
author would be proven. The values themselves are declared in the contract."""

from __future__ import annotations

from chapar.config.v1 import config_pb2
from services.policy.model.mail_proof import NONE, TRUSTED_RESULTS


def mail_proof_problem(account: config_pb2.ChannelAccount) -> str:
    """Return the problem with an account's settings; empty for other channels, and for consistent settings."""
    if account.channel != "email":
        return ""
    how = account.settings.get("authentication", NONE)
    if how == TRUSTED_RESULTS and not account.settings.get("authserv_id", ""):
        return "`authentication: trusted_results` needs the `authserv_id` of the mail server that is trusted"
    return ""
