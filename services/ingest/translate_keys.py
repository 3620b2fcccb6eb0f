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


def owners_of_question(inbound: records_pb2.InboundRecord) -> tuple[str, ...]:
    """The identities of which one must be known, for the question to be about anybody: its key seals what is asked."""
    named = (owner_of(inbound), inbound.link.home_identity_id if inbound.HasField("link") else "")
    return tuple(each for each in named if each)


def is_about_unknown(inbound: records_pb2.InboundRecord) -> bool:
    """Whether an opened record that no key had sealed is a question: at the edge no identity in it had a key, and its words were left out."""
    return bool(inbound.question_id and owner_of(inbound))
