"""Run the service: `python -m services.feedback`."""

import sys

from services.chassis.lifecycle import main
from services.feedback.settings import FeedbackSettings
from services.feedback.wiring import NAME, build

if __name__ == "__main__":
    sys.exit(main(NAME, FeedbackSettings, build))
