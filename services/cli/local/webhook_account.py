"""The key of a webhook account of the tenant that runs, so that commands can sign messages as the other system would."""

from __future__ import annotations

from collections.abc import Mapping

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.secrets import SecretReferences
from services.cli.reasons import Reason
from services.policy.model.webhook_keys import key_of


def signing_secret(configuration: config_pb2.TenantConfiguration, account: str, variables: Mapping[str, str]) -> str:
    """Return the secret with which messages to the account are signed.

    `variables`: the environment. Raises NOT_FOUND without such an account, FAILED_PRECONDITION when its secret is not known here.
    """
    accounts = {each.account: each for each in configuration.channels if each.channel == "webhook"}
    if account not in accounts:
        known = ", ".join(sorted(accounts)) or "none"
        raise ChaparError(
            ErrorKind.NOT_FOUND,
            Reason.NO_ACCOUNT,
            f"tenant {configuration.tenant} has no webhook account `{account}` (known: {known}); name one with --account",
        )
    reference = accounts[account].secrets.get("signing_secret", "")
    secret = SecretReferences(lambda: 0, env=variables).read(configuration.tenant, reference)
    if key_of(secret) is None:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NO_SIGNING_SECRET,
            f"the key of webhook account `{account}` is not known here: set {reference.removeprefix('env:')} to the value "
            "that the services have"
            if reference.startswith("env:")
            else f"the key of webhook account `{account}` is not in a variable, so this command cannot sign",
        )
    return secret
