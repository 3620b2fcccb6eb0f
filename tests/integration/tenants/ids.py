"""The ids of a customer, as their own tenant and another tenant can know them."""

from dataclasses import dataclass

from services.chassis.ids import derive, random_id
from tests.integration.tenants.stand import SURVEY


@dataclass(frozen=True)
class Ids:
    """The ids of one customer that a request can contain."""

    identity: str
    conversation: str
    person: str
    interaction: str
    delivery: str = ""
    invitation: str = ""


def computed(tenant: str, native_id: str, key: str) -> Ids:
    """Compute the ids of a customer's first message, as every caller can."""
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
