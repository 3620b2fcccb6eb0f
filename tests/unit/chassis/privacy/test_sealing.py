"""A sealed part can be opened only in its own record; without its key no personal data is left."""

import base64
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError
from services.chassis.privacy.lanes import EntryKeys
from services.chassis.privacy.master import MasterKeys, about
from services.chassis.privacy.sealing import (
    Unsealable,
    bare,
    is_erased,
    key_ids,
    seal,
    seal_entry,
    unseal,
    unseal_entry,
)
from tests.fakes.privacy import MemoryKeys

NEEDLE = "needle-7f3a-شیرین"


def a_record(tenant: str = "acme", text: str = NEEDLE) -> records_pb2.InboundRecord:
    record = records_pb2.InboundRecord(tenant=tenant)
    record.message.message_id = "m"
    record.message.text = text
    record.message.identity.identity_id = "i"
    record.message.identity.native_id = NEEDLE
    record.message.labels["note"] = NEEDLE
    record.message.attachments.add(content_type="image/png", name=NEEDLE, size=7)
    record.message.attachments.add(content_type="image/gif", name="", size=9)
    record.message.attachments.add(content_type="text/plain", name=f"{NEEDLE}.txt")
    return record


def test_nothing_personal_is_in_the_bytes_and_ids_are() -> None:
    keys = MemoryKeys()
    value = seal(a_record(), keys.made("acme", "i"), "inbound.v1", b"i")
    assert NEEDLE.encode() not in value
    assert b"image/png" in value
    read = records_pb2.InboundRecord.FromString(value)
    assert read.message.message_id == "m"
    assert not read.message.text


def test_it_opens_where_it_was_sealed() -> None:
    keys = MemoryKeys()
    key = keys.made("acme", "i")
    read = records_pb2.InboundRecord.FromString(seal(a_record(), key, "inbound.v1", b"i"))
    assert unseal(read, keys, "inbound.v1", b"i") is key
    assert read == a_record()
    assert not is_erased(read)


@pytest.mark.parametrize(
    ("tenant", "topic", "record_key"),
    [("acme", "inbound.v1", b"j"), ("acme", "outbound.v1", b"i"), ("other", "inbound.v1", b"i")],
)
def test_moved_to_another_record_it_does_not_open(tenant: str, topic: str, record_key: bytes) -> None:
    keys = MemoryKeys()
    read = records_pb2.InboundRecord.FromString(seal(a_record(), keys.made("acme", "i"), "inbound.v1", b"i"))
    read.tenant = tenant
    with pytest.raises(Unsealable):
        unseal(read, keys, topic, record_key)
    assert not read.message.text


def test_a_key_of_another_tenant_opens_nothing() -> None:
    """An attacker who can write records of one tenant copies a sealed part of another tenant."""
    keys = MemoryKeys()
    stolen = records_pb2.InboundRecord.FromString(seal(a_record("other"), keys.made("other", "i"), "inbound.v1", b"i"))
    forged = records_pb2.InboundRecord(tenant="acme", sealed=stolen.sealed)
    with pytest.raises(Unsealable):
        unseal(forged, keys, "inbound.v1", b"i")


def test_without_its_key_a_record_is_erased_and_reading_continues() -> None:
    keys = MemoryKeys()
    value = seal(a_record(), keys.made("acme", "i"), "inbound.v1", b"i")
    keys.destroy("acme", "i")
    read = records_pb2.InboundRecord.FromString(value)
    assert unseal(read, keys, "inbound.v1", b"i") is None
    assert is_erased(read)
    assert read.message.message_id == "m"
    assert not read.message.text
    assert not read.message.identity.native_id


def test_a_record_that_was_never_sealed_is_read_as_it_is() -> None:
    read = a_record()
    assert unseal(read, MemoryKeys(), "inbound.v1", b"i") is None
    assert read == a_record()
    assert not is_erased(read)


def test_bare_is_without_anything_personal() -> None:
    read = records_pb2.InboundRecord.FromString(bare(a_record()))
    assert read.message.message_id == "m"
    assert NEEDLE.encode() not in read.SerializeToString()
    assert not is_erased(read)


@given(sealed=st.binary(max_size=120))
def test_any_invalid_sealed_part_is_refused_without_a_crash(sealed: bytes) -> None:
    keys = MemoryKeys()
    key = keys.made("acme", "i")
    for forged in (sealed, b"\x01" + key.key_id + sealed):
        record = records_pb2.InboundRecord(tenant="acme", sealed=forged)
        with suppress(Unsealable):
            assert unseal(record, keys, "inbound.v1", b"i") is None
        list(key_ids([record.SerializeToString(), forged, b"\x00sealed\x01" + forged, None, b""]))


@given(flip=st.integers(min_value=0, max_value=10_000))
def test_a_changed_bit_is_noticed(flip: int) -> None:
    keys = MemoryKeys()
    read = records_pb2.InboundRecord.FromString(seal(a_record(), keys.made("acme", "i"), "inbound.v1", b"i"))
    changed = bytearray(read.sealed)
    changed[flip % len(changed)] ^= 1 << (flip % 8)
    read.sealed = bytes(changed)
    with suppress(Unsealable):
        assert unseal(read, keys, "inbound.v1", b"i") is None, "the key id was changed: no such key"
    assert not read.message.text


def test_elements_of_a_shortened_list_do_not_get_other_elements_text() -> None:
    keys = MemoryKeys()
    read = records_pb2.InboundRecord.FromString(seal(a_record(), keys.made("acme", "i"), "inbound.v1", b"i"))
    del read.message.attachments[1:]
    unseal(read, keys, "inbound.v1", b"i")
    assert [each.name for each in read.message.attachments] == [NEEDLE]


def test_two_records_with_the_same_text_have_nothing_in_common() -> None:
    keys = MemoryKeys()
    key = keys.made("acme", "i")
    one, two = (records_pb2.InboundRecord.FromString(seal(a_record(), key, "t", b"i")).sealed[29:] for _ in range(2))
    assert not any(one[at : at + 8] in two for at in range(len(one) - 8))


def test_an_entry_of_a_changelog() -> None:
    keys = MemoryKeys()
    key = keys.made("acme", "i")
    value = seal_entry(NEEDLE.encode(), key, "state.v1", b"c/i")
    assert NEEDLE.encode() not in value
    assert list(key_ids([value])) == [key.key_id]
    assert unseal_entry(value, keys, "state.v1", b"c/i") == (NEEDLE.encode(), key)
    assert unseal_entry(b"plain", keys, "state.v1", b"c/i") == (b"plain", None)
    for topic, entry in (("other.v1", b"c/i"), ("state.v1", b"c/j")):
        with pytest.raises(Unsealable):
            unseal_entry(value, keys, topic, entry)
    keys.destroy("acme", "i")
    assert unseal_entry(value, keys, "state.v1", b"c/i") is None


def test_an_entry_keeps_its_key_until_it_is_destroyed() -> None:
    keys = MemoryKeys()
    first, other = keys.made("acme", "i"), keys.made("acme", "j")
    entries = EntryKeys(keys, "state.v1")
    restored = EntryKeys(keys, "state.v1")
    assert restored.opened(b"c/i", entries.sealed(b"c/i", b"x", first)) == b"x"
    assert restored.choose(b"c/i", other, "acme", ("i",)) is first
    keys.destroy("acme", "i")
    assert restored.choose(b"c/i", other, "acme", ("i",)) is other
    keys.destroy("acme", "j")
    assert restored.choose(b"c/i", other, "acme", ("",)) is None
    assert EntryKeys(keys, "state.v1").opened(b"c/i", entries.sealed(b"c/i", b"x", first)) is None


def test_a_master_key_is_replaced() -> None:
    old, new, raw = b"o" * 32, b"n" * 32, os.urandom(32)
    bound = about("acme", "i", b"k")
    wrapped = MasterKeys([old]).wrap(raw, bound)
    both = MasterKeys([new, old])
    assert both.unwrap(wrapped, bound) == raw
    assert not both.is_current(wrapped)
    again = both.wrap(raw, bound)
    assert both.is_current(again)
    assert MasterKeys([new]).unwrap(again, bound) == raw
    with pytest.raises(ChaparError, match="does not have"):
        MasterKeys([new]).unwrap(wrapped, bound)
    with pytest.raises(ChaparError, match="does not unwrap"):
        both.unwrap(wrapped, about("acme", "another", b"k"))
    with pytest.raises(ChaparError, match="32 bytes"):
        MasterKeys([b"short"])
    assert base64.b64encode(raw) not in base64.b64encode(wrapped)


def test_the_key_of_a_packed_entry_is_found_again() -> None:
    """The owner's by its owner, another one by its id; a destroyed one is not: as if the entry had never been packed."""
    keys = MemoryKeys()
    entries = EntryKeys(keys, "state.v1")
    own, other = keys.made("acme", "i"), keys.made("acme", "home")
    for entry, key, size in ((b"c/1", own, 1), (b"c/2", other, 16)):
        entries.sealed(entry, b"x", key)
        kept = entries.put_away(entry, "acme", "i")
        assert len(kept) == size
        assert entries.choose(entry, None, "acme", ()) is None
        entries.take_back(entry, kept, "acme", "i")
        assert entries.choose(entry, keys.made("acme", "sender"), "acme", ()) is key
    assert entries.put_away(b"c/unknown", "acme", "i") == b""
    packed = {entry: entries.put_away(entry, "acme", "i") for entry in (b"c/1", b"c/2")}
    keys.destroy("acme", "i", "home")
    keys.makes = False
    for entry, each in packed.items():
        entries.take_back(entry, each, "acme", "i")
        assert entries.choose(entry, None, "acme", ()) is None
