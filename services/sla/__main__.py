"""Run the service: `python -m services.sla`."""

import sys

from services.chassis.lifecycle import main
from services.sla.settings import SlaSettings
from services.sla.wiring import NAME, build

if __name__ == "__main__":
    sys.exit(main(NAME, SlaSettings, build))
