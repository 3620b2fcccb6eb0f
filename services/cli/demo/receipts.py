"""The demo's WhatsApp reports of each message that it was delivered and read, as Meta does: later, and not always in order."""

from __future__ import annotations

import asyncio

import httpx

from services.chassis.clock import system_clock
from services.cli.demo.channels import whatsapp_call
from services.cli.demo.customers import World, persist
from services.cli.local.providers import Received

_STATES = ("read", "delivered")


class Receipts:
    """Messages whose states are to be reported."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Received] = asyncio.Queue()

    def arrived(self, message: Received) -> None:
        """Report this message, if its provider reports states."""
        if message.channel == "whatsapp":
            self._waiting.put_nowait(message)

    async def report(self, world: World) -> None:
        """Report each message until cancelled. A call that ingest does not take is repeated."""
        while True:
            message = await self._waiting.get()
            for state in _STATES:
                status = {
                    "id": message.native_id,
                    "status": state,
                    "timestamp": str(system_clock() // 1000),
                    "recipient_id": message.recipient,
                    "biz_opaque_callback_data": message.details.get("biz_opaque_callback_data", ""),
                }
                path, body, headers = whatsapp_call(world, {"statuses": [status]})

                async def attempt(path: str = path, body: bytes = body, headers: dict[str, str] = headers) -> bool:
                    answer: httpx.Response = await world.client.post(
                        f"http://{world.http}{path}", content=body, headers=headers
                    )
                    return answer.is_success

                await persist(attempt)
