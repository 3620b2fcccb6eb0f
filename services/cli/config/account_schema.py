"""JSON Schema of channel accounts: which secrets and settings each channel has, from the declarations of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.chassis.secrets import PREFIX
from services.policy.model.channels import PATTERNS, AccountKey
from services.policy.reading.channels import DECLARATIONS, EDGES

_REFERENCE: Final = rf"env:{PREFIX}[A-Z0-9_]+|file:[A-Za-z0-9._/-]+"


def with_declarations(account: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an account with one rule for each channel that an account can have."""
    properties = {**account["properties"], "channel": {"enum": sorted(EDGES)}}
    return {
        **account,
        "properties": properties,
        "required": ["channel"],
        "allOf": [_rule(name) for name in sorted(EDGES)],
    }


def _rule(channel: str) -> dict[str, Any]:
    declared = DECLARATIONS[channel]
    parts = {"secrets": (declared.secrets, _secret), "settings": (declared.settings, _setting)}
    then: dict[str, Any] = {"properties": {}}
    required = []
    for part, (keys, schema_of) in parts.items():
        needed = [name for name, key in keys.items() if key.required_for]
        described = {name: schema_of(key) for name, key in keys.items()}
        then["properties"][part] = {"type": "object", "additionalProperties": False, "properties": described}
        if needed:
            then["properties"][part]["required"] = needed
            required.append(part)
    if required:
        then["required"] = required
    return {"if": {"properties": {"channel": {"const": channel}}, "required": ["channel"]}, "then": then}


def _secret(key: AccountKey) -> dict[str, Any]:
    return {"type": "string", "description": described(key), "pattern": f"^({_REFERENCE})$"}


def _setting(key: AccountKey) -> dict[str, Any]:
    made: Mapping[str, Any] = {"type": "string", "description": described(key)}
    form = {"enum": list(key.values)} if key.values else {"pattern": f"^({_form(key)})$"}
    default = {"default": key.default} if key.default else {}
    return {**made, **form, **default}


def _form(key: AccountKey) -> str:
    return f"{_REFERENCE}|{PATTERNS[key.kind]}" if key.may_be_reference else PATTERNS[key.kind]


def described(key: AccountKey) -> str:
    """Return what a key is for and whether it is needed, as one paragraph."""
    return f"{key.meaning} Required: without it {key.required_for}." if key.required_for else key.meaning
