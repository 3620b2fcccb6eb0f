"""A service that consists of the chassis only, run as a process by `test_process.py`. PROBE_MODE chooses its behaviour."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_settings import SettingsConfigDict

from services.chassis.lifecycle import Service, main
from services.chassis.settings import ServiceSettings


class ProbeSettings(ServiceSettings):
    """Settings of the probe."""

    model_config = SettingsConfigDict(env_prefix="CHAPAR_PROBE_")


async def _crash() -> None:
    await asyncio.sleep(0.05)
    raise RuntimeError("the lane broke")


async def _end() -> None:
    await asyncio.sleep(0.05)


async def _run() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def build(service: Service[ProbeSettings]) -> AsyncIterator[None]:
    mode = os.environ["PROBE_MODE"]
    work = {"crash": _crash, "end": _end}.get(mode, _run)()

    async def on_drain() -> None:
        print("hook: drain", flush=True)

    service.on_drain(on_drain)
    try:
        if mode == "hang":
            print("hook: starting", flush=True)
            await asyncio.Event().wait()
        async with service.background(work, "lane"):
            print("hook: wired", flush=True)
            yield
    finally:
        work.close()
        print("hook: closed", flush=True)


if __name__ == "__main__":
    sys.exit(main("probe", ProbeSettings, build))
