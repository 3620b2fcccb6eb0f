"""A client's channel that follows its TLS files.

gRPC reads the certificate of a client once, when the channel is made. So when the files change, the calls that follow go through a new channel.
Calls in progress, streams among them, end on the old one, which is then closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from services.chassis.errors import ChaparError
from services.chassis.logs import get_logger
from services.chassis.tls_files import Times, file_times

CHECK_S: Final = 1.0
"""The files are looked at once in this time."""


class _Generation:
    """A channel with one state of the files, and the number of its calls in progress."""

    def __init__(self, channel: grpc.aio.Channel, close: Callable[[grpc.aio.Channel], None]) -> None:
        self.channel = channel
        self._close = close
        self._calls = 0
        self._retired = False
        self._callables: dict[object, Any] = {}

    def call(self, key: object, make: Callable[[grpc.aio.Channel], Any], arguments: Any, options: Any) -> Any:
        if key not in self._callables:
            self._callables[key] = make(self.channel)
        call = self._callables[key](*arguments, **options)
        self._calls += 1
        call.add_done_callback(self._ended)
        return call

    def retire(self) -> None:
        self._retired = True
        self._close_when_unused()

    def _ended(self, _call: object) -> None:
        self._calls -= 1
        self._close_when_unused()

    def _close_when_unused(self) -> None:
        if self._retired and self._calls == 0:
            self._close(self.channel)


class FollowingChannel(grpc.aio.Channel):
    """A channel that uses the certificate and the authority that are in the files now. To be made and closed in one event loop."""

    def __init__(self, make: Callable[[], grpc.aio.Channel], files: Sequence[Path], check_s: float = CHECK_S) -> None:
        """`make` reads the files and returns a channel; it raises ChaparError when they cannot be used."""
        self._make = make
        self._files = files
        self._check_s = check_s
        self._open: set[grpc.aio.Channel] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._next_check = time.monotonic() + check_s
        self._seen: Times = ()
        with contextlib.suppress(OSError):  # a missing file is reported by `make`
            self._seen = file_times(files)
        self._generation = self._begin()

    def _begin(self) -> _Generation:
        channel = self._make()
        self._open.add(channel)
        return _Generation(channel, self._close_soon)

    def _close_soon(self, channel: grpc.aio.Channel) -> None:
        if channel in self._open:
            self._open.discard(channel)
            task = asyncio.get_running_loop().create_task(
                channel.close(), name="close a channel with an old certificate"
            )
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def current(self) -> _Generation:
        """Return the channel for the next call. A pair of files that cannot be used is left alone: half of it may be on its way."""
        now = time.monotonic()
        if now < self._next_check:
            return self._generation
        self._next_check = now + self._check_s
        try:
            times = file_times(self._files)
            if times == self._seen:
                return self._generation
            successor = self._begin()
        except (OSError, ChaparError) as error:
            get_logger(__name__).warning("certificate not taken", message=str(error))
            return self._generation
        self._seen = times
        former, self._generation = self._generation, successor
        former.retire()
        return successor

    def _following(self, kind: str, method: str, *arguments: Any, **options: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            return self.current().call(
                (kind, method), lambda channel: getattr(channel, kind)(method, *arguments, **options), given, named
            )

        return call

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable for a unary call."""
        return self._following("unary_unary", method, *arguments, **options)

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable for a stream of responses."""
        return self._following("unary_stream", method, *arguments, **options)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable for a stream of requests."""
        return self._following("stream_unary", method, *arguments, **options)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable for streams in both directions."""
        return self._following("stream_stream", method, *arguments, **options)

    async def close(self, grace: float | None = None) -> None:
        """Close every channel; calls in progress have `grace` seconds."""
        await asyncio.gather(*(channel.close(grace) for channel in self._open), *self._closing)
        self._open.clear()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the channel for the next call."""
        return self._generation.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel for the next call leaves a state."""
        await self._generation.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel for the next call is connected."""
        await self._generation.channel.channel_ready()

    async def __aenter__(self) -> FollowingChannel:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
