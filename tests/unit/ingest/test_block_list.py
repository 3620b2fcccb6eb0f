"""The entries of the block list: when they hold, and how many a tenant may have."""

from services.ingest.domain.blocking import BlockList


def test_a_block_is_over_at_its_end_also_while_its_entry_is_there() -> None:
    """A lane that was away for a while removes entries after it has restored them."""
    blocked = BlockList(most=10)
    blocked.put("shop/i1", 1_000)
    assert blocked.holds("shop/i1", 999)
    assert not blocked.holds("shop/i1", 1_000)
    assert not blocked.holds("other/i1", 999)


def test_each_tenant_has_room_of_its_own_and_a_removed_entry_gives_it_back() -> None:
    blocked = BlockList(most=1)
    blocked.put("shop/i1", 1_000)
    assert not blocked.has_room("shop/i2")
    assert blocked.has_room("shop/i1")
    assert blocked.has_room("other/i2")
    assert blocked.remove("shop/i1")
    assert not blocked.remove("shop/i1")
    assert blocked.has_room("shop/i2")
