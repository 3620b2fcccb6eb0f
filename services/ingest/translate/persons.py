"""Converts what is known of a person: preferences, and links that join identities."""

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.ingest.domain import effects
from services.ingest.domain.conversations import OptOut, OptOutScope
from services.ingest.domain.join_links import JoinClaim, JoinOffer
from services.ingest.domain.preferences import Preferences


def preferences(record: records_pb2.PersonPreferences) -> Preferences:
    """Convert preferences. Raises ValueError for a scope that this version does not know."""
    opt_outs = tuple(
        OptOut(each.channel, OptOutScope(each.scope), record.occurred_at_ms, record.actor) for each in record.opt_outs
    )
    return Preferences(record.request_id, opt_outs, record.preferred_channel)


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
            opt_outs=[
                records_pb2.HeldOptOut(
                    channel=each.channel,
                    scope=records_pb2.OptOutScope.ValueType(each.scope),
                    since_ms=each.since_ms,
                    actor=each.actor,
                )
                for each in effect.opt_outs
            ],
            preferred_channel=effect.preferred_channel,
        ),
    )


def join_offer(record: records_pb2.JoinOffer) -> JoinOffer:
    """Convert a link that was made."""
    return JoinOffer(record.request_id, record.digest, record.expires_at_ms)


def join_claim(record: records_pb2.JoinClaim) -> JoinClaim:
    """Convert a claim."""
    return JoinClaim(record.claimant_id, record.digest, record.message_id)


def record_of_a_join(
    effect: effects.JoinClaimed | effects.JoinConfirmed, tenant: str, now_ms: int
) -> tuple[records_pb2.InboundRecord, str]:
    """Return the record for the lane of another identity, and this identity."""
    if isinstance(effect, effects.JoinClaimed):
        return claim_record(effect, tenant), effect.identity_id
    return confirmed_link(effect, tenant, now_ms), effect.claimant_id


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
        ),
    )
