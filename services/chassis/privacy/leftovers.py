"""The data of an erased person that topics still contain, plain or unreadable, until their segments are deleted. For erasure reports."""

from typing import Final

LEFT: Final = (
    ("inbound.v1", "ids and times"),
    ("ingest.fetches.v1", "ids and times"),
    ("ingest.waiting-fetches.v1", "ids and times"),
    ("outbound.v1", "ids and times"),
    ("conversations.v1", "ids and times"),
    ("deliveries.v1", "ids, states and times"),
    ("routing.commands.v1", "ids, queues, declared labels and times"),
    ("routing.events.v1", "ids, queues, declared labels and times"),
    ("gateway.feed.v1", "ids, queues, declared labels and times"),
    ("sla.events.v1", "ids and times"),
    ("feedback.commands.v1", "ids, scores and times"),
    ("feedback.responses.v1", "ids, scores, categories and times"),
    ("sla.webhooks.v1", "ids and times"),
    ("feedback.webhooks.v1", "ids, scores, categories and times"),
    ("deadletters.v1", "copies of records: ids and times"),
    ("ingest-intake.state.v1", "entries that are not yet compacted, unreadable"),
    ("ingest-sender.state.v1", "entries that are not yet compacted, unreadable"),
    ("router.state.v1", "entries that are not yet compacted: ids, queues and times"),
    ("sla.state.v1", "entries that are not yet compacted: ids and times"),
    ("feedback.state.v1", "entries that are not yet compacted, unreadable"),
    ("personal.keys.v1", "destroyed keys, wrapped by the master key, that are not yet compacted"),
)
"""Topic, and the data that remains in it, for people."""
