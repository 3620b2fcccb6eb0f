"""The real address of each server of this process, for a parent process that started it with port 0.

Written as a flat JSON object (`{"grpc": "127.0.0.1:40123", "ops": …}`) to the file that `CHAPAR_ENDPOINTS_FILE` names.
It is written to another file and renamed, so that a reader sees a complete file or none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

FILE_VARIABLE = "CHAPAR_ENDPOINTS_FILE"


class Endpoints:
    """Addresses by name: grpc, health, ops, http, smtp…"""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, str] = {}

    def publish(self, name: str, address: str) -> None:
        """Publish an address (`host:port`)."""
        self._known[name] = address
        if self._file is None:
            return
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        draft.write_text(json.dumps(self._known, sort_keys=True) + "\n")
        draft.replace(self._file)

    @property
    def known(self) -> Mapping[str, str]:
        """Return the addresses published so far."""
        return MappingProxyType(self._known)

    def __getitem__(self, name: str) -> str:
        return self._known[name]
