"""Which mailbox receives for an address."""

import pytest

from chapar.config.v1 import config_pb2
from services.ingest.adapters.edges.accounts import ConfiguredAccounts


def an_account(name: str, address: str) -> config_pb2.ChannelAccount:
    """A mailbox."""
    return config_pb2.ChannelAccount(channel="email", account=name, settings={"address": address})


@pytest.mark.parametrize(
    ("address", "account"),
    [
        ("help@shop.example", "help"),
        ("postmaster@shop.example", "help"),
        ("postmaster@other.example", "other"),
        ("postmaster@named.example", "post"),
        ("postmaster@stranger.example", None),
        ("abuse@shop.example", None),
    ],
)
def test_every_domain_has_a_postmaster(address: str, account: str | None) -> None:
    """The first mailbox of the domain, unless one has this address."""
    accounts = ConfiguredAccounts()
    channels = [
        an_account("help", "help@shop.example, sales@shop.example"),
        an_account("second", "second@shop.example"),
        an_account("other", "me@other.example"),
        an_account("named", "me@named.example"),
        an_account("post", "postmaster@named.example"),
    ]
    accounts.replace("acme", config_pb2.TenantConfiguration(tenant="acme", channels=channels))
    found = accounts.by_address(address)
    assert (found.account if found is not None else None) == account
