"""Checks the destinations that a configuration sends to: URLs and hosts that the services refuse, and webhook secrets that are not keys.

Operators may allow destinations besides public addresses (the setting OUTGOING_ALLOW of the services); lint takes the same list. The value
of a setting that is a reference is not known here; the services check it when they use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from services.chassis.destinations import Destinations, problem_of_host, problem_of_url
from services.policy.lint.review import Review
from services.policy.model.channels import ValueKind
from services.policy.model.webhook_keys import problem_of_secret
from services.policy.reading.channels import DECLARATIONS

KEYS: Final = frozenset({"signing_secret", "signing_secret_previous"})
_MAIL: Final = ("smtp", "smtps", "smtp+starttls")
_REFERENCES: Final = ("env:", "file:")


def where_to(review: Review) -> None:
    """Check all destinations; add findings to the review."""
    for index, account in enumerate(review.configuration.channels):
        named = f"{account.channel}/{account.account}"
        for setting, value in account.settings.items():
            if value.startswith(_REFERENCES):
                continue
            problem = _of_setting(account.channel, setting, value, review.destinations)
            if problem:
                review.find(
                    "DESTINATION", f"`{setting}` of `{named}`: {problem}", "channels", index, "settings", setting
                )
    for reference, path in _keys(review):
        secret = review.secret_of(reference)
        problem = problem_of_secret(secret) if secret else ""
        if problem:
            review.find("SECRET_UNUSABLE", f"the value of `{reference}` {problem}", *path)


def _of_setting(channel: str, setting: str, value: str, rules: Destinations) -> str:
    declared = DECLARATIONS.get(channel)
    key = declared.settings.get(setting) if declared is not None else None
    if key is not None and key.kind is ValueKind.URL:
        return problem_of_url(value, rules)
    if key is None or key.kind is not ValueKind.MAIL_SERVER:
        return ""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "its url can't be read"
    if parts.scheme not in _MAIL or not host:
        return "its url must be smtps://…, smtp+starttls://… or smtp://…"
    return problem_of_host(host, rules)


def _keys(review: Review) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    for index, webhook in enumerate(review.configuration.webhooks):
        for name, reference in webhook.secrets.items():
            yield reference, ("webhooks", index, "secrets", name)
    for index, account in enumerate(review.configuration.channels):
        for name, reference in account.secrets.items():
            if account.channel == "webhook" and name in KEYS:
                yield reference, ("channels", index, "secrets", name)
