"""The image, built and run with a Docker engine of our own: `make image-check`, or `python -m tests.image [image] [broker]`.

    image    builds deploy/docker/Dockerfile, runs all services from it, and judges size, rights, start, stop and contents
    broker   runs tests/integration/broker with a broker in a container

Exit codes: 0 all right; 1 the complaints are printed; 3 no engine can be had here, and the output says what is missing.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.image.broker_suite import run_broker_suite
from tests.image.check import check_image
from tests.image.engine import DockerError, running_engine
from tests.image.programs import NoEngineError, provide

DIRECTORY: Final = Path("build/image").absolute()
NO_ENGINE: Final = 3
PARTS: Final = {"image": check_image, "broker": run_broker_suite}


def main(arguments: Sequence[str]) -> int:
    """Run the chosen parts. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the image and run it.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="without any, both")
    chosen = parser.parse_args(arguments).parts or list(PARTS)
    # The engine is stopped when this process is asked to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wrong: list[str] = []
    try:
        provide()
        with running_engine(DIRECTORY) as engine:
            for part in chosen:
                wrong += PARTS[part](engine, DIRECTORY)
    except NoEngineError as error:
        print(f"NO ENGINE: nothing was checked. {error}", file=sys.stderr)
        return NO_ENGINE
    except DockerError as error:
        wrong.append(str(error))
    for complaint in wrong:
        print(f"FAILED: {complaint}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
