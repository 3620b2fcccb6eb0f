"""Analytics entries of the lane's changelog: stories, flows, contacts, pulses, models. See `state.py` for the rules.

Keys: `o/<interaction>` a story, `c/<interaction>` a contact, `f/<json>` a flow, `q/<json>` a pulse, `m/<json>` a model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.policy.model.sla import Target
from services.sla.domain.analytics import Analytics
from services.sla.domain.flow import Contact, Flow, FlowKey
from services.sla.domain.forecasting import ModelKey
from services.sla.domain.lines import LineKey
from services.sla.domain.prediction import Model, Pulse
from services.sla.domain.story import Story

_STORY, _CONTACT, _FLOW, _PULSE, _MODEL = b"o/", b"c/", b"f/", b"q/", b"m/"
_ENTRIES: Final = ChangelogCodec[Any](Any)
_decode_story: Final = ChangelogCodec[Story](Story).decode
_decode_contact: Final = ChangelogCodec[Contact](Contact).decode
_decode_flow: Final = ChangelogCodec[Flow](Flow).decode
_decode_pulse: Final = ChangelogCodec[Pulse](Pulse).decode
_decode_model: Final = ChangelogCodec[Model](Model).decode
_decode_flow_key: Final = msgspec.json.Decoder(tuple[str, int, int, str, str]).decode
_decode_pulse_key: Final = msgspec.json.Decoder(tuple[str, str, str, int]).decode
_decode_model_key: Final = msgspec.json.Decoder(tuple[str, int]).decode


@dataclass(frozen=True, slots=True)
class KeptFlow:
    """A flow with its key."""

    key: FlowKey
    flow: Flow


@dataclass(frozen=True, slots=True)
class KeptPulse:
    """A pulse with its key."""

    key: LineKey
    pulse: Pulse


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model with its key."""

    key: ModelKey
    model: Model


Kept = Story | Contact | KeptFlow | KeptPulse | KeptModel


def story_key(interaction_id: str) -> bytes:
    """Return the key of a story."""
    return _STORY + interaction_id.encode()


def contact_key(interaction_id: str) -> bytes:
    """Return the key of a contact."""
    return _CONTACT + interaction_id.encode()


def flow_key(key: FlowKey) -> bytes:
    """Return the key of a flow."""
    return _FLOW + msgspec.json.encode((key.tenant, key.day, key.slot, key.queue, key.channel))


def pulse_key(key: LineKey) -> bytes:
    """Return the key of a pulse."""
    return _PULSE + msgspec.json.encode((*key[:3], int(key[3])))


def model_key(key: ModelKey) -> bytes:
    """Return the key of a model."""
    return _MODEL + msgspec.json.encode((key[0], int(key[1])))


def encode(value: Story | Contact | Flow | Pulse | Model) -> bytes:
    """Return the value of an entry."""
    return _ENTRIES.encode(value)


def flow_key_of(key: bytes) -> FlowKey:
    """Decode the key of a flow."""
    return FlowKey(*_decode_flow_key(key[len(_FLOW) :]))


def decode(key: bytes, value: bytes) -> Kept | None:
    """Decode an entry; None for a key of another kind. Raises UnknownVersion or msgspec.MsgspecError for an entry that
    this module did not write."""
    match key[:2]:
        case b"o/":
            return _decode_story(value)
        case b"c/":
            return _decode_contact(value)
        case b"f/":
            return KeptFlow(flow_key_of(key), _decode_flow(value))
        case b"q/":
            tenant, queue, channel, target = _decode_pulse_key(key[len(_PULSE) :])
            return KeptPulse((tenant, queue, channel, Target(target)), _decode_pulse(value))
        case b"m/":
            tenant, target = _decode_model_key(key[len(_MODEL) :])
            return KeptModel((tenant, Target(target)), _decode_model(value))
        case _:
            return None


def restore(analytics: Analytics, key: bytes, value: bytes) -> bool:
    """Restore an entry; returns False for a key of another kind."""
    match decode(key, value):
        case Story() as story:
            analytics.stories[story.interaction_id] = story
        case Contact() as contact:
            analytics.contacts[contact.interaction_id] = contact.at_ms
        case KeptFlow() as kept:
            analytics.restore_flow(kept.key, kept.flow)
        case KeptPulse() as kept:
            analytics.forecasting.pulses[kept.key] = kept.pulse
        case KeptModel() as kept:
            analytics.forecasting.models[kept.key] = kept.model
        case None:
            return False
    return True


def changes(analytics: Analytics) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the entries touched since the last call; a value of None deletes the entry."""
    changed = analytics.take_changes()
    for interaction_id in changed.stories:
        yield story_key(interaction_id), _value(analytics.stories.get(interaction_id))
    for contact in changed.new_contacts.values():
        yield contact_key(contact.interaction_id), encode(contact)
    for interaction_id in changed.gone_contacts:
        yield contact_key(interaction_id), None
    for flow in changed.flows:
        yield flow_key(flow), _value(analytics.flows.get(flow))
    for pulse in changed.pulses:
        yield pulse_key(pulse), _value(analytics.forecasting.pulses.get(pulse))
    for model in changed.models:
        yield model_key(model), _value(analytics.forecasting.models.get(model))


def _value(value: Story | Contact | Flow | Pulse | Model | None) -> bytes | None:
    return None if value is None else encode(value)
