"""Networks that an operator trusts: an invalid one is refused at the start, not when the first mail arrives."""

import pytest
from pydantic import ValidationError

from services.ingest.settings import IngestSettings


@pytest.mark.parametrize("field", ["http_proxies", "smtp_relays", "smtp_upstreams"])
@pytest.mark.parametrize("wrong", ["mx.example", "10.0.0.0/8, x", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8;192.0.2.1"])
def test_what_is_no_network_is_refused(field: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match="neither an address nor a network"):
        IngestSettings.model_validate({field: wrong})


@pytest.mark.parametrize("field", ["http_proxies", "smtp_relays", "smtp_upstreams"])
def test_networks_and_addresses_may_be_listed(field: str) -> None:
    text = "10.0.0.0/8, 192.0.2.1 2001:db8::/32"
    settings = IngestSettings.model_validate({field: text, "kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    assert getattr(settings, field) == text
