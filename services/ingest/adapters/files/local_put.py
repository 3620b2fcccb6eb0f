"""Writes small files on a local disk durably, in threads: one hand-over for each file.

A file is written under a name that obstore does not list, renamed, and flushed before the sender is answered.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

_THREADS: Final = 16
"""The disk flushes files of several threads at the same time."""
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class LocalPut:
    """Writes files below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files")

    async def put(self, key: str, content: bytes) -> None:
        """Write a file. Raises OSError."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, _written, str(self._root / key), content)

    async def flush(self, key: str) -> None:
        """Make a file durable that was written already. Raises OSError."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, _flushed, str(self._root / key))


def _written(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    # Names with # and a number are obstore's own files under way, which it does not list.
    temporary = f"{path}#{int.from_bytes(os.urandom(6))}"
    try:
        handle = os.open(temporary, _NEW_FILE, 0o600)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        handle = os.open(temporary, _NEW_FILE, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(handle, view) :]
        os.rename(temporary, path)
        # One flush for the bytes and the name. A name without its bytes does no harm before it: no message has it, the
        # sender tries again, and a file that is cut off does not open.
        os.fsync(handle)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(handle)


def _flushed(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
