"""Implements `ports.FileStore` with obstore: a directory of this machine, or a bucket of S3, Google Cloud or Azure."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.local_put import LocalPut
from services.ingest.domain.reasons import Reason
from services.ingest.ports import StoredBytes

_PIECE_BYTES: Final = 256 << 10
_BATCH: Final = 500
_RETRY_AFTER_S: Final = 5
_ATTEMPT_S: Final = 15
_RETRIES_S: Final = 10


class ObjectFiles:
    """Stores files in an object store. Created by `file_store`."""

    def __init__(self, store: ObjectStore, metrics: Metrics, root: Path | None = None) -> None:
        """`root`: the directory of a local store."""
        self._store = store
        self._local = LocalPut(root) if root is not None else None
        self._errors = metrics.counter("chapar_file_store_errors_total")

    async def put(self, key: str, content: bytes | AsyncIterator[bytes]) -> None:
        """See `ports.FileStore.put`."""
        if isinstance(content, bytes):
            if self._local is not None:
                with self._reached("put"):
                    await self._local.put(key, content)
                return
            with self._reached("put"):
                await obstore.put_async(self._store, key, content, use_multipart=len(content) > (8 << 20))
        else:
            await self._put_pieces(key, _Source(content))
            if self._local is not None:
                with self._reached("put"):
                    await self._local.flush(key)

    async def _put_pieces(self, key: str, source: "_Source") -> None:
        try:
            await obstore.put_async(self._store, key, source.pieces())
        except Exception:
            if source.error is not None:
                raise source.error from None
            with self._reached("put"):
                raise

    async def get(self, key: str) -> StoredBytes:
        """See `ports.FileStore.get`."""
        with self._reached("get"):
            found = await obstore.get_async(self._store, key)
        return StoredBytes(found.meta["size"], self._pieces(found))

    async def _pieces(self, found: Any) -> AsyncIterator[bytes]:
        with self._reached("get"):
            async for piece in found.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)

    async def delete(self, key: str) -> None:
        """See `ports.FileStore.delete`."""
        with self._reached("delete"):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                return  # it was deleted before

    async def delete_under(self, prefix: str) -> int:
        """See `ports.FileStore.delete_under`."""
        count = 0
        with self._reached("delete"):
            async for batch in obstore.list(self._store, prefix.rstrip("/"), chunk_size=_BATCH):
                await asyncio.gather(*(self.delete(each["path"]) for each in batch))
                count += len(batch)
        return count

    async def older(self, prefix: str, before_ms: int) -> AsyncIterator[str]:
        """See `ports.FileStore.older`."""
        with self._reached("list"):
            async for batch in obstore.list(self._store, prefix.rstrip("/"), chunk_size=_BATCH):
                for each in batch:
                    if each["last_modified"].timestamp() * 1000 < before_ms:
                        yield each["path"]

    @contextmanager
    def _reached(self, operation: str) -> Iterator[None]:
        """Translate the library's errors. Their texts name keys and addresses, so they are not repeated."""
        try:
            yield
        except FileNotFoundError as error:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.FILE_GONE, "the file no longer exists") from error
        except (BaseError, OSError, TimeoutError) as error:
            self._errors.labels(operation).inc()
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.FILES_AWAY,
                "the file store can't be used now; send it again, it will not be duplicated",
                retry_after_s=_RETRY_AFTER_S,
            ) from error


class _Source:
    """Pieces from outside. It remembers their error, which is not one of the store."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self.error: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._content:
                yield piece
        except Exception as error:
            self.error = error
            raise


def file_store(url: str, state_dir: str, metrics: Metrics) -> ObjectFiles:
    """Return the store at this address; for an empty one, the directory `files` in `state_dir`. Raises INVALID FILES_URL.

    The keys of a bucket come from the usual variables or from the machine's own rights, e.g. AWS_ACCESS_KEY_ID.
    """
    if not url or url.startswith("/"):
        root = Path(url if url else Path(state_dir) / "files").absolute()
        try:
            return ObjectFiles(LocalStore(root, mkdir=True, automatic_cleanup=True), metrics, root)
        except (BaseError, OSError, ValueError) as error:
            raise _unusable(f"the directory {root} can't be used") from error
    try:
        store = from_url(
            url,
            client_options={"timeout": timedelta(seconds=_ATTEMPT_S)},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRIES_S)},
        )
    except TypeError:
        store = from_url(url)  # a store in memory takes no options
    except (BaseError, OSError, ValueError) as error:
        raise _unusable("it is not an address of a bucket") from error
    return ObjectFiles(store, metrics)


def _unusable(why: str) -> ChaparError:
    return ChaparError(ErrorKind.INVALID, Reason.FILES_URL, f"files_url: {why}")
