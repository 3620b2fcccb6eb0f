"""Determines whose key seals a record of inbound.v1."""

from chapar.ingest.v1 import records_pb2


def owner_of(inbound: records_pb2.InboundRecord) -> str:
    """Return the identity whose key seals the record; empty for records without personal data."""
    match inbound.WhichOneof("record"):
        case "message":
            return inbound.message.identity.identity_id
        case "outbound":
            return inbound.outbound.identity_id
        case "link":
            return inbound.link.identity_id
        case "follow_up":
            return inbound.follow_up.identity_id
        case "preferences":
            return inbound.preferences.identity_id
        case "shared_preferences" if inbound.sealed or inbound.shared_preferences.opt_outs:
            return inbound.shared_preferences.identity_id
        case "sender_block" if inbound.sealed or (inbound.sender_block.until_ms and inbound.question_id):
            return inbound.sender_block.identity_id
        case "report" if inbound.report.native_id:
            return inbound.report.identity_id
        case _:
            return ""


def owners_of_question(inbound: records_pb2.InboundRecord) -> tuple[str, ...]:
    """Return the identities of which at least one must be known for the question to be answerable; its key seals the
    question."""
    named = (owner_of(inbound), inbound.link.home_identity_id if inbound.HasField("link") else "")
    return tuple(each for each in named if each)


def is_about_unknown(inbound: records_pb2.InboundRecord) -> bool:
    """Return whether an opened, unsealed record is a question about unknown identities.

    At the edge no identity in it had a key, so its personal fields were left out.
    """
    return bool(inbound.question_id and owner_of(inbound))
