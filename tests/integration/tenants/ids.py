"""The ids of a customer, as their own tenant and as another tenant can know them."""

from dataclasses import dataclass

from services.chassis.ids import derive, random_id
from tests.integration.tenants.stand import SURVEY


@dataclass(frozen=True)
class Ids:
    """What a caller may name."""

    identity: str
    conversation: str
    person: str
    interaction: str
    delivery: str = ""
    invitation: str = ""


def computed(tenant: str, native_id: str, key: str) -> Ids:
    """The ids of a customer's first message, as all callers can compute them."""
    identity = derive(tenant, "grpc", "default", native_id)
    message = derive(identity, key, "0")
    interaction = derive("interaction", message)
    return Ids(
        identity,
        derive("conversation", message),
        derive("person", identity),
        interaction,
        derive(tenant, f"send-{native_id}"),
        derive(tenant, interaction, SURVEY),
    )


def invented() -> Ids:
    return Ids(*(random_id() for _ in range(6)))
