"""Faults of the network: between the services and the broker, and between clients and the services."""

import asyncio

from tests.chaos.campaign.fault import Strike
from tests.chaos.campaign.proxy import Mode, Proxy
from tests.chaos.campaign.stage import Scene


def between_services_and_broker(mode: Mode, seconds: float) -> Strike:
    """Spoil all connections of the services with the broker."""

    async def strike(scene: Scene) -> None:
        await _spoil([scene.stage.network], mode, seconds)
        await scene.stack.supervisor.wait_ready(60)

    return strike


async def resets_at_the_broker(scene: Scene) -> None:
    """Reset all connections of the services with the broker, six times."""
    for _ in range(6):
        scene.stage.network.reset()
        await asyncio.sleep(scene.chance.uniform(0.5, 1.5))


def between_clients_and_services(mode: Mode, seconds: float) -> Strike:
    """Spoil all connections of customers and agents."""

    async def strike(scene: Scene) -> None:
        await _spoil(list(scene.edges.values()), mode, seconds)

    return strike


async def resets_at_the_edges(scene: Scene) -> None:
    """Reset all connections of customers and agents, six times."""
    for _ in range(6):
        for proxy in scene.edges.values():
            proxy.reset()
        await asyncio.sleep(scene.chance.uniform(0.5, 1.5))


async def _spoil(proxies: list[Proxy], mode: Mode, seconds: float) -> None:
    for proxy in proxies:
        await proxy.become(mode)
    try:
        await asyncio.sleep(seconds)
    finally:
        for proxy in proxies:
            await proxy.become(Mode.PASS)
