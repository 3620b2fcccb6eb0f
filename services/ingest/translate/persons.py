"""Converts what is known of a person: preferences, and links that join identities."""

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain import effects
from services.ingest.domain.effects import Share
from services.ingest.domain.join_links import JoinClaim, JoinOffer
from services.ingest.domain.opt_outs import OptOut, OptOutScope
from services.ingest.domain.preferences import Preferences
from services.ingest.domain.shared_preferences import SharedPreferences
from services.ingest.translate.opt_outs import opt_out_records, opt_outs


def preferences(record: records_pb2.PersonPreferences) -> Preferences:
    """Convert preferences. Raises ValueError for a scope that this version does not know."""
    asked = tuple(
        OptOut(each.channel, OptOutScope(each.scope), record.occurred_at_ms, record.actor) for each in record.opt_outs
    )
    return Preferences(record.request_id, asked, record.preferred_channel)


def shared_preferences(record: records_pb2.SharedPreferences) -> SharedPreferences:
    """Convert what another identity's lane passes on. Raises ValueError for a value that this version does not know."""
    return SharedPreferences(
        request_id=record.request_id,
        identity_id=record.identity_id,
        from_identity_id=record.from_identity_id,
        kind=Share(record.kind),
        opt_outs=opt_outs(record.opt_outs),
        removed=opt_outs(record.removed),
        preferred_channel=record.preferred_channel,
    )


def shared_record(effect: effects.PreferencesShared, tenant: str) -> records_pb2.InboundRecord:
    """Return the record for the lane of the other identity."""
    return records_pb2.InboundRecord(
        tenant=tenant,
        shared_preferences=records_pb2.SharedPreferences(
            request_id=effect.request_id,
            identity_id=effect.identity_id,
            from_identity_id=effect.from_identity_id,
            kind=records_pb2.PreferenceShare.ValueType(effect.kind),
            opt_outs=opt_out_records(effect.opt_outs),
            removed=opt_out_records(effect.removed),
            preferred_channel=effect.preferred_channel,
        ),
    )


def record_of_a_person(
    effect: effects.IdentityMoved | effects.PreferencesSet, tenant: str, now_ms: int
) -> tuple[records_pb2.ConversationRecord, bool]:
    """Return the record for history, and whether it has personal data."""
    if isinstance(effect, effects.IdentityMoved):
        return moved_identity(effect, tenant, now_ms), False
    return preferences_set(effect, tenant, now_ms), True


def moved_identity(effect: effects.IdentityMoved, tenant: str, now_ms: int) -> records_pb2.ConversationRecord:
    """Return the record that names the person to whom the identity belongs now."""
    return records_pb2.ConversationRecord(
        event_id=derive("belongs", effect.identity_id, effect.request_id),
        tenant=tenant,
        identity_id=effect.identity_id,
        person_id=effect.person_id,
        occurred_at_ms=now_ms,
        belongs=records_pb2.IdentityBelongs(person_id=effect.person_id),
    )


def preferences_set(effect: effects.PreferencesSet, tenant: str, now_ms: int) -> records_pb2.ConversationRecord:
    """Return the record for history. Each decision has an id of its own: the same request may come again after another one."""
    return records_pb2.ConversationRecord(
        event_id=derive("preferences", effect.identity_id, effect.request_id, str(now_ms)),
        tenant=tenant,
        identity_id=effect.identity_id,
        person_id=derive("person", effect.identity_id),
        occurred_at_ms=now_ms,
        preferences_set=records_pb2.PreferencesSet(
            opt_outs=opt_out_records(effect.opt_outs),
            preferred_channel=effect.preferred_channel,
        ),
    )


def block_asked(effect: effects.SenderBlockAsked, tenant: str) -> records_pb2.InboundRecord:
    """Return the record for the lane of the identity that a disposition blocks."""
    return records_pb2.InboundRecord(
        tenant=tenant,
        sender_block=records_pb2.SenderBlock(
            request_id=derive("block-by-disposition", effect.interaction_id),
            identity_id=effect.identity_id,
            until_ms=effect.until_ms,
            actor=effect.actor,
            interaction_id=effect.interaction_id,
            disposition=effect.disposition,
        ),
    )


def block_for_history(
    asked: records_pb2.SenderBlock, tenant: str, identity_id: str, now_ms: int
) -> records_pb2.ConversationRecord:
    """Return the record for history."""
    record = records_pb2.ConversationRecord(
        event_id=derive("sender-block", identity_id, asked.request_id, str(now_ms)),
        tenant=tenant,
        identity_id=identity_id,
        occurred_at_ms=now_ms,
        sender_block=asked,
    )
    record.sender_block.occurred_at_ms = now_ms
    return record


def join_offer(record: records_pb2.JoinOffer) -> JoinOffer:
    """Convert a link that was made."""
    return JoinOffer(record.request_id, record.digest, record.expires_at_ms)


def join_claim(record: records_pb2.JoinClaim) -> JoinClaim:
    """Convert a claim."""
    return JoinClaim(record.claimant_id, record.digest, record.message_id)


def record_for_a_lane(
    effect: effects.JoinClaimed | effects.JoinConfirmed | effects.PreferencesShared | effects.SenderBlockAsked,
    tenant: str,
    now_ms: int,
) -> tuple[records_pb2.InboundRecord, str]:
    """Return the record for the lane of another identity, and this identity."""
    match effect:
        case effects.JoinClaimed():
            return claim_record(effect, tenant), effect.identity_id
        case effects.JoinConfirmed():
            return confirmed_link(effect, tenant, now_ms), effect.claimant_id
        case effects.PreferencesShared():
            return shared_record(effect, tenant), effect.identity_id
        case effects.SenderBlockAsked():
            return block_asked(effect, tenant), effect.identity_id


def has_preferences(record: records_pb2.InboundRecord) -> bool:
    """Return whether a record for another lane says how a person wants to be reached."""
    told = record.shared_preferences if record.HasField("shared_preferences") else record.link
    removed = record.shared_preferences.removed
    return bool(told.opt_outs or removed or told.preferred_channel)


def claim_record(claim: effects.JoinClaimed, tenant: str) -> records_pb2.InboundRecord:
    """Return the claim for the lane of the identity that the link names."""
    return records_pb2.InboundRecord(
        tenant=tenant,
        join_claim=records_pb2.JoinClaim(
            identity_id=claim.identity_id,
            claimant_id=claim.claimant_id,
            digest=claim.digest,
            message_id=claim.message_id,
        ),
    )


def confirmed_link(joined: effects.JoinConfirmed, tenant: str, now_ms: int) -> records_pb2.InboundRecord:
    """Return the link, as the home has confirmed it, for the lane of the claimant."""
    return records_pb2.InboundRecord(
        tenant=tenant,
        link=records_pb2.IdentityLink(
            request_id=derive("join", joined.claimant_id, joined.message_id),
            identity_id=joined.claimant_id,
            home_identity_id=joined.home_identity_id,
            evidence="join link",
            actor="ingest",
            occurred_at_ms=now_ms,
            confirmed=True,
            opt_outs=opt_out_records(joined.opt_outs),
            preferred_channel=joined.preferred_channel,
        ),
    )
