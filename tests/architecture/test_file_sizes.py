"""Each file has one purpose, so it is short."""

import subprocess
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
MOST_LINES: Final = 400
GENERATED: Final = ("_pb2.py", "_pb2_grpc.py")


def test_no_file_has_more_than_400_lines() -> None:
    """Split a longer file by purpose: a reader should see all of a file's parts at once."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    files = [file for file in listed if not file.endswith(GENERATED) and (ROOT / file).exists()]
    assert len(files) > 500
    sizes = {file: len((ROOT / file).read_text().splitlines()) for file in files}
    assert {file: size for file, size in sizes.items() if size > MOST_LINES} == {}
