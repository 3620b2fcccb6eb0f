"""Whose key seals a record of inbound.v1."""

from chapar.ingest.v1 import records_pb2


def owner_of(inbound: records_pb2.InboundRecord) -> str:
    """The identity whose key seals the record; empty for records without anything personal."""
    match inbound.WhichOneof("record"):
        case "message":
            return inbound.message.identity.identity_id
        case "outbound":
            return inbound.outbound.identity_id
        case "link":
            return inbound.link.identity_id
        case "follow_up":
            return inbound.follow_up.identity_id
        case _:
            return ""
