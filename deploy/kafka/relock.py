"""Writes jars.lock.json from pom.xml: `python deploy/kafka/relock.py [DIRECTORY]`. Only this command needs `mvn` and the network.

DIRECTORY has the pom.xml; without it, it is this directory.

Maven resolves the runtime dependencies into an empty directory, so that every checksum is of bytes that were fetched now, and not of an old cache.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def resolve(pom: Path, into: Path) -> None:
    """Copy the runtime dependencies of a pom.xml, transitive ones included, into `into`, in Maven's layout."""
    subprocess.run(  # noqa: S603 - a fixed command, run by a developer
        [  # noqa: S607 - the developer's mvn
            "mvn",
            *("-q", "-B", "-f", str(pom), PLUGIN),
            *("-DincludeScope=runtime", f"-DoutputDirectory={into}", "-Dmdep.useRepositoryLayout=true"),
            f"-Dmaven.repo.local={into.parent / 'repository'}",
        ],
        check=True,
    )


def kafka_versions(pom: Path) -> dict[str, str]:
    """Return the versions of Kafka and of Scala if pom.xml has `kafka_2.13`."""
    maven = {"m": "http://maven.apache.org/POM/4.0.0"}
    for dependency in ET.parse(pom).iterfind(".//m:dependency", maven):  # noqa: S314 - our own file
        if dependency.findtext("m:artifactId", None, maven) == "kafka_2.13":
            return {"kafka": dependency.findtext("m:version", "", maven), "scala": "2.13"}
    return {}


def main(directory: Path) -> None:
    pom = directory / "pom.xml"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "jars"
        resolve(pom, root)
        jars: list[dict[str, str | int]] = [
            {
                "path": jar.relative_to(root).as_posix(),
                "size": jar.stat().st_size,
                "sha256": hashlib.sha256(jar.read_bytes()).hexdigest(),
            }
            for jar in sorted(root.rglob("*.jar"))
        ]
    size = sum(int(jar["size"]) for jar in jars)
    lock = {**kafka_versions(pom), "jars": jars}
    (directory / "jars.lock.json").write_text(json.dumps(lock, indent=1) + "\n")
    print(f"{len(jars)} jars, {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else HERE)
