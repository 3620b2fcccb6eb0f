"""Entry point: `python -m services.ingest`."""

import sys

from services.chassis.lifecycle import main
from services.ingest.settings import IngestSettings
from services.ingest.wiring import build

if __name__ == "__main__":
    sys.exit(main("ingest", IngestSettings, build))
