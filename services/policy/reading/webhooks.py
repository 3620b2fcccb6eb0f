"""Receivers of webhooks from a tenant's configuration."""

from collections.abc import Mapping
from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.findings import Findings
from services.policy.model.webhooks import Endpoint

_SECRETS: Final = ("signing", "previous")


def read_webhooks(configuration: config_pb2.TenantConfiguration, findings: Findings) -> Mapping[str, Endpoint]:
    """Return the receivers by name; those that cannot be used are reported and left out.

    A URL that leads to a forbidden place is not reported: the forbidden places depend on the operator and on the address at each use, so
    its attempts fail with URL_REFUSED, and everything else continues.
    """
    found: dict[str, Endpoint] = {}
    for index, webhook in enumerate(configuration.webhooks):
        here = ("webhooks", index)
        if not webhook.name:
            findings.find("NAMELESS", "this entry of `webhooks` has no name", *here)
        elif webhook.name in found:
            findings.find("DUPLICATE", f"`{webhook.name}` appears twice in `webhooks`", *here)
        elif problem := _problem_of_secrets(webhook):
            findings.find("WEBHOOK", f"webhook `{webhook.name}`: {problem}", *here)
        else:
            references = tuple(webhook.secrets[name] for name in _SECRETS if name in webhook.secrets)
            found[webhook.name] = Endpoint(webhook.name, webhook.url, references, frozenset(webhook.events))
    return found


def _problem_of_secrets(webhook: config_pb2.OutgoingWebhook) -> str:
    unknown = set(webhook.secrets) - set(_SECRETS)
    if unknown:
        return f"it has secrets of unknown names, {', '.join(sorted(unknown))}: the known names are {' and '.join(_SECRETS)}"
    if "signing" not in webhook.secrets:
        return 'it has no secret: write secrets: {signing: "env:CHAPAR_SECRET_<TENANT>__<NAME>"} or {signing: "file:<secret>/<key>"}'
    return ""
