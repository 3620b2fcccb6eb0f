"""Checks channel accounts against the declarations of the contract: no edge, missing or misspelt keys, values of the wrong form."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from chapar.config.v1 import config_pb2
from services.chassis.secrets import env_prefix
from services.policy.findings import Path
from services.policy.lint.approved_templates import approved_templates
from services.policy.lint.groups import groups_problem
from services.policy.lint.mail import mail_proof_problem
from services.policy.lint.review import Review
from services.policy.lint.secrets import find_reference
from services.policy.model.channels import EXAMPLES, AccountKey, ChannelDeclaration, ValueKind
from services.policy.reading.channels import DECLARATIONS, EDGES

_REFERENCES: Final = ("env:", "file:")


def channels(review: Review) -> None:
    """Check all channel accounts; add findings to the review."""
    for i, account in enumerate(review.configuration.channels):
        here = ("channels", i)
        declared = DECLARATIONS.get(account.channel)
        if declared is None:
            message = f"`{account.channel}` is not one of {', '.join(sorted(EDGES))}{_near(account.channel, EDGES)}"
            review.find("UNKNOWN_CHANNEL", message, *here, "channel")
        elif not declared.has_edge:
            message = (
                f"Chapar has no edge for the channel `{account.channel}`: this account can neither receive nor send. "
                f"Remove it, or use one of {', '.join(sorted(EDGES))}"
            )
            review.find("NO_EDGE", message, *here, "channel")
        else:
            _keys(review, account, declared, here)
        approved_templates(review, account, here)
        _references(review, account, here)
        if problem := mail_proof_problem(account):
            review.find("MAIL_PROOF", f"`{account.account}`: {problem}", *here, "settings")
        if problem := groups_problem(account):
            review.find("GROUPS", f"`{account.account}`: {problem}", *here, "settings", "groups")


def _keys(review: Review, account: config_pb2.ChannelAccount, declared: ChannelDeclaration, here: Path) -> None:
    for kind, given, known, others in (
        ("secret", account.secrets, declared.secrets, declared.settings),
        ("setting", account.settings, declared.settings, declared.secrets),
    ):
        part = f"{kind}s"
        for name in sorted(given):
            if name not in known:
                message = f"accounts of {account.channel} have no {kind} `{name}`{_remedy(kind, name, known, others)}"
                review.find(f"UNKNOWN_{kind.upper()}", message, *here, part, name)
        for name, key in known.items():
            if key.required_for and not given.get(name):
                _missing(review, account, kind, key, here)
    for name, value in sorted(account.settings.items()):
        if name in declared.settings and value:
            _value(review, account, declared.settings[name], value, (*here, "settings", name))
    if account.channel == "email":
        _password(review, account, here)


def _value(review: Review, account: config_pb2.ChannelAccount, key: AccountKey, value: str, path: Path) -> None:
    named = f"`{key.name}` of {account.channel} account `{account.account}`"
    if value.startswith(_REFERENCES):
        if not key.may_be_reference:
            message = f"{named} cannot be a reference, because not every reader resolves it: write the value itself"
            review.find("REFERENCE_NOT_READ", message, *path)
    elif key.values and value not in key.values:
        message = f"{named} is `{value}`, not one of {', '.join(key.values)}{_near(value, key.values)}"
        review.find("UNKNOWN_VALUE", message, *path)
    elif key.kind not in (ValueKind.URL, ValueKind.MAIL_SERVER) and not key.accepts(value):
        # Destinations have a check of their own.
        review.find("BAD_SETTING", f"{named} must be {EXAMPLES[key.kind]}, not `{value}`", *path)


def _password(review: Review, account: config_pb2.ChannelAccount, here: Path) -> None:
    """Check that a user of the mail server has a password. A URL that cannot be read has a finding of its own."""
    try:
        server = urlsplit(account.settings.get("smtp_url", ""))
    except ValueError:
        return
    key = DECLARATIONS["email"].secrets["smtp_password"]
    if server.username and not server.password and not account.secrets.get(key.name):
        why = f"`smtp_url` names the user `{server.username}` without a password, so no reply can be sent"
        _missing(review, account, "secret", key, here, why)


def _missing(
    review: Review, account: config_pb2.ChannelAccount, kind: str, key: AccountKey, here: Path, why: str = ""
) -> None:
    variable = f"{env_prefix(review.configuration.tenant)}{key.name.upper()}"
    example = f"env:{variable}" if kind == "secret" else EXAMPLES[key.kind]
    message = (
        f"{account.channel} account `{account.account}` has no {kind} `{key.name}`: "
        f"{why or f'without it {key.required_for}'}. Add it to `{kind}s`: {example}"
    )
    review.find(f"MISSING_{kind.upper()}", message, *here)


def _references(review: Review, account: config_pb2.ChannelAccount, here: Path) -> None:
    for name, reference in sorted(account.secrets.items()):
        find_reference(review, f"secret `{name}`", reference, *here, "secrets", name)
    for name, value in sorted(account.settings.items()):
        if value.startswith(_REFERENCES):
            find_reference(review, f"setting `{name}`", value, *here, "settings", name)


def _remedy(kind: str, name: str, known: Mapping[str, AccountKey], others: Mapping[str, AccountKey]) -> str:
    if name in others:
        other = "settings" if kind == "secret" else "secrets"
        return f": move it to `{other}`"
    if near := _near(name, known):
        return near
    return f"; known are {', '.join(known)}" if known else ": remove it"


def _near(name: str, known: Collection[str]) -> str:
    """Return a suggestion; empty when no known name is close."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
