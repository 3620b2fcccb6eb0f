"""Generates Python code and type stubs beside the contracts.

`python protos/generate.py` writes them. `python protos/generate.py --check` generates into a temporary directory and reports every committed file
that differs, is missing or is no longer generated.
"""

from __future__ import annotations

import argparse
import importlib.resources
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Run protoc for every contract. The output goes into the directory `target`."""
    protos = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    well_known = str(importlib.resources.files("grpc_tools") / "_proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"-I{well_known}"]
    command += [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    # The stub generators are console scripts of this environment, which may not be on the PATH.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # Their messages ("Writing mypy to …") are discarded, because they hide errors.
    subprocess.run(command + protos, check=True, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603 fixed arguments


def contents(directory: Path) -> dict[str, bytes]:
    """Return the generated files in a directory, by relative path."""
    return {str(p.relative_to(directory)): p.read_bytes() for pattern in GENERATED for p in directory.rglob(pattern)}


def differences() -> list[str]:
    """Return relative paths of generated files that differ from what the contracts generate now."""
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        fresh, committed = contents(Path(temporary)), contents(ROOT)
    return sorted(path for path in fresh.keys() | committed.keys() if fresh.get(path) != committed.get(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    stale = differences()
    for path in stale:
        print(f"protos/{path} differs from its contract: run `make protos` and commit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
