"""Every reader of every topic, as the fuzz test runs it. `test_fuzz` checks that no consumed topic and no reading module is missing."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.unit.poison.reader import Reader
from tests.unit.poison.readers_of_feedback import FEEDBACK_READERS
from tests.unit.poison.readers_of_ingest import INGEST_READERS
from tests.unit.poison.readers_of_router import ROUTER_READERS
from tests.unit.poison.readers_of_shared import SHARED_READERS
from tests.unit.poison.readers_of_sla import SLA_READERS

READERS: tuple[Reader, ...] = (
    *INGEST_READERS,
    *SHARED_READERS,
    *ROUTER_READERS,
    *SLA_READERS,
    *FEEDBACK_READERS,
)

NOT_READ: Mapping[str, str] = MappingProxyType(
    {
        "config.history.v1": "read by the config command only",
        "routing.journal.v1": "read by the replay command only",
        "deadletters.v1": "read by the deadletters command only",
        # Only its own lane reads a changelog, and the lane refuses to start on an entry that it did not write.
        "ingest-intake.state.v1": "changelog",
        "ingest-sender.state.v1": "changelog",
        "router.state.v1": "changelog",
        "feedback.state.v1": "changelog",
    }
)
