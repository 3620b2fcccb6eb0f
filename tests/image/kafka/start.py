"""The command of the broker's image: writes the properties, formats the storage of a new container, and becomes the broker.

It runs in the image, with Python's library alone.
"""

import os
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

DATA = Path("data")
PROPERTIES = Path("server.properties")
JAVA = ("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/opt/kafka/libs/*")


def properties(environment: Mapping[str, str]) -> str:
    """Return the text of the properties: KAFKA_A_B is a.b. The image chooses the directory of the data."""
    values = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }
    return "".join(f"{name}={value}\n" for name, value in sorted((values | {"log.dirs": str(DATA.absolute())}).items()))


def main() -> None:
    PROPERTIES.write_text(properties(os.environ))
    if not (DATA / "meta.properties").exists():
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        code = os.spawnvp(
            os.P_WAIT,
            JAVA[0],
            [*JAVA, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(PROPERTIES)],
        )
        if code != 0:
            raise SystemExit(code)
    os.execvp(JAVA[0], [*JAVA, "kafka.Kafka", str(PROPERTIES)])


if __name__ == "__main__":
    main()
