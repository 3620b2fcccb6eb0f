"""Searches every byte below a directory for needles, in each form in which text may be stored, so that an empty result is reliable."""

import base64
import errno
import json
import mmap
import os
import quopri
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote


def forms(needle: str) -> dict[str, bytes]:
    """Return the forms of a needle that a file may contain, by their names."""
    plain = needle.encode()
    found = {
        "utf-8": plain,
        "utf-16-le": needle.encode("utf-16-le"),
        "utf-16-be": needle.encode("utf-16-be"),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "quoted-printable": quopri.encodestring(plain),
        "json": json.dumps(needle)[1:-1].encode(),
        "url": quote(needle, safe="").encode(),
        "url-plus": quote(needle, safe="").replace("%20", "+").encode(),
    }
    for shift in range(3):
        # The needle at each position in a group of three bytes, without the characters that also encode neighbouring bytes.
        coded = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
        first, last = (0, 2, 3)[shift], len(coded) - (0 if (shift + len(plain)) % 3 == 0 else 1)
        found[f"base64-{shift}"] = coded[first:last]
        found[f"base64url-{shift}"] = coded[first:last].replace(b"+", b"-").replace(b"/", b"_")
    return found


def scan(root: Path, needles: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """Return the needles that were found: name -> relative file -> forms. Forms of equal bytes are looked for once."""
    wanted: dict[bytes, dict[str, set[str]]] = {}
    for name, needle in needles.items():
        for form, value in forms(needle).items():
            wanted.setdefault(value, {}).setdefault(name, set()).add(form)
    found: dict[str, dict[str, set[str]]] = {}
    for file in sorted(root.rglob("*")):
        if not file.is_file() or file.is_symlink() or file.stat().st_size == 0:
            continue
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            written = list(_written(opened.fileno(), len(content)))
            for value, named in wanted.items():
                if any(content.find(value, begin, end) >= 0 for begin, end in written):
                    for name, kinds in named.items():
                        found.setdefault(name, {}).setdefault(str(file.relative_to(root)), set()).update(kinds)
    return found


def _written(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are not holes, each with a page more on both sides. Kafka's indexes are gigabytes of holes."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield max(0, begin - mmap.PAGESIZE), min(size, end + mmap.PAGESIZE)


def files_of(found: Mapping[str, Mapping[str, Iterable[str]]]) -> set[str]:
    """Return all files in which a needle was found."""
    return {file for by_file in found.values() for file in by_file}
