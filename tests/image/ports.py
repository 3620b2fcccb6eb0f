"""Ports and addresses of containers that share the host's network: each server gets a port of its own on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.cli.local.broker.ports import free_port

SERVERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "router": ("grpc", "health", "ops"),
        "ingest": ("grpc", "health", "ops", "http", "smtp"),
        "sla": ("grpc", "health", "ops"),
        "feedback": ("grpc", "health", "ops", "http"),
    }
)
"""The servers of each service, in the order in which the services are started."""
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers of the services listen: `host:port` by service and server."""

    of: Mapping[str, Mapping[str, str]]

    def environment(self, service: str, broker: str) -> dict[str, str]:
        """Return the variables by which a service listens there and finds the others, instead of compose's names and ports."""
        prefix = f"CHAPAR_{service.upper()}_"
        found = {"KAFKA_BOOTSTRAP_SERVERS": broker}
        for server, address in self.of[service].items():
            found[f"{prefix}{server.upper()}_PORT"] = address.rpartition(":")[2]
            if server != "health":
                found[f"{prefix}{server.upper()}_HOST"] = _LOOPBACK
        match service:
            case "router":
                found[f"{prefix}ADVERTISED_ADDRESS"] = self.of["router"]["grpc"]
            case "sla":
                found[f"{prefix}ROUTER_ADDRESS"] = self.of["router"]["grpc"]
            case "feedback":
                found[f"{prefix}INGEST_ADDRESS"] = self.of["ingest"]["grpc"]
                found[f"{prefix}PUBLIC_URL"] = f"http://{self.of['feedback']['http']}"
        return found

    def url(self, service: str, path: str, server: str = "ops") -> str:
        """Return the address of a page."""
        return f"http://{self.of[service][server]}{path}"


def free_addresses() -> Addresses:
    """Choose ports that are free now, all different."""
    count = sum(map(len, SERVERS.values()))
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen.add(free_port())
    ports = iter(sorted(chosen))
    return Addresses(
        {service: {server: f"{_LOOPBACK}:{next(ports)}" for server in servers} for service, servers in SERVERS.items()}
    )
