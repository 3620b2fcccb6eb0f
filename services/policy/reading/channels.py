"""Reads the declarations of channels from the contract, chapar/config/v1/channels.proto."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from chapar.config.v1 import channels_pb2
from services.policy.model.channels import AccountKey, ChannelDeclaration, ValueKind

_KINDS: Final[Mapping[int, ValueKind]] = MappingProxyType(
    {
        channels_pb2.VALUE_KIND_UNSPECIFIED: ValueKind.TEXT,
        channels_pb2.VALUE_KIND_URL: ValueKind.URL,
        channels_pb2.VALUE_KIND_MAIL_SERVER: ValueKind.MAIL_SERVER,
        channels_pb2.VALUE_KIND_ADDRESSES: ValueKind.ADDRESSES,
        channels_pb2.VALUE_KIND_ORIGINS: ValueKind.ORIGINS,
        channels_pb2.VALUE_KIND_DOMAIN: ValueKind.DOMAIN,
        channels_pb2.VALUE_KIND_DIGITS: ValueKind.DIGITS,
    }
)


def read_declarations() -> Mapping[str, ChannelDeclaration]:
    """Return the declaration of each channel, by the name that a configuration uses."""
    found: dict[str, ChannelDeclaration] = {}
    for value in channels_pb2.DESCRIPTOR.enum_types_by_name["Channel"].values:
        if value.number == channels_pb2.CHANNEL_UNSPECIFIED:
            continue
        channel = value.name.removeprefix("CHANNEL_").lower()
        declared = value.GetOptions().Extensions[channels_pb2.declaration]
        found[channel] = ChannelDeclaration(
            channel, declared.has_edge, _keys(declared.secrets), _keys(declared.settings)
        )
    return MappingProxyType(found)


def _keys(declared: Iterable[channels_pb2.AccountKey]) -> Mapping[str, AccountKey]:
    return MappingProxyType(
        {
            key.name: AccountKey(
                name=key.name,
                meaning=key.meaning,
                required_for=key.required_for,
                kind=_KINDS[key.kind],
                values=tuple(key.values),
                default=key.default_value,
                may_be_reference=key.may_be_reference,
            )
            for key in declared
        }
    )


DECLARATIONS: Final = read_declarations()
"""The declaration of each channel, by its name."""
CHANNELS: Final = frozenset(DECLARATIONS)
"""All channels that a configuration can name, with or without an edge."""
EDGES: Final = frozenset(name for name, declared in DECLARATIONS.items() if declared.has_edge)
"""The channels that an account can have."""
