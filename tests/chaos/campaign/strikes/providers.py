"""Faults of the providers of channels: they are away, slow, refuse, or cut the connection after they accepted a message."""

import asyncio

from services.cli.local.providers import Cut, Refuse
from tests.chaos.campaign.fault import Strike
from tests.chaos.campaign.proxy import Mode
from tests.chaos.campaign.stage import Scene

_CUTS = 12


def spoiled(mode: Mode, seconds: float) -> Strike:
    """Spoil the connections with all providers."""

    async def strike(scene: Scene) -> None:
        for proxy in (scene.providers, scene.relay):
            await proxy.become(mode)
        try:
            await asyncio.sleep(seconds)
        finally:
            for proxy in (scene.providers, scene.relay):
                await proxy.become(Mode.PASS)

    return strike


async def cut_after_accepted(scene: Scene) -> None:
    """Accept the next messages and close the connection without a response: their outcome is unknown to the sender."""
    before = scene.provider.requests
    scene.provider.next(*[Cut(taken=True)] * _CUTS)
    await scene.provider.asked(before + _CUTS, 30)


async def refusals(scene: Scene) -> None:
    """Answer the next requests with 429 and 503, which the sender repeats."""
    before = scene.provider.requests
    answers = (Refuse(429, {"parameters": {"retry_after": 1}}, {"retry-after": "1"}), Refuse(503))
    scene.provider.next(*answers * (_CUTS // 2))
    await scene.provider.asked(before + _CUTS, 30)
