"""Web chat's memory: separate by tenant and bounded; the cost of an erasure depends only on the erased messages."""

import time

from hypothesis import given
from hypothesis import strategies as st

from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.ingest.adapters.edges.webchat_hub import WebchatHub
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys


def a_hub(**limits: int) -> WebchatHub:
    return WebchatHub(MemoryKeys(), Poison("test", Metrics(METRICS)), **limits)


def a_message(number: int, *, tenant: str = "acme", identity: str = "i", conversation: str = "c") -> Record:
    message = records_pb2.ConversationMessage(message_id=f"m{number}", channel="webchat", text="hello")
    record = records_pb2.ConversationRecord(
        tenant=tenant, conversation_id=conversation, identity_id=identity, message=message
    )
    return Record("conversations.v1", 0, number, 0, b"k", record.SerializeToString(), ())


def an_erasure(tenant: str, conversation: str) -> Record:
    record = records_pb2.ConversationRecord(tenant=tenant, conversation_id=conversation)
    record.erased.SetInParent()
    return Record("conversations.v1", 0, 10**9, 0, b"k", record.SerializeToString(), ())


def offsets(hub: WebchatHub, tenant: str, identity: str = "i") -> list[int]:
    return [message.sequence for message in hub.recent(tenant, identity)]


def test_tenants_with_the_same_ids_see_and_erase_their_own_only() -> None:
    """Identity and conversation of the two tenants have the same ids here."""
    hub, heard = a_hub(), list[int]()
    with hub.listening("acme", "i", lambda message: heard.append(message.sequence)):
        hub.take(a_message(1, tenant="acme"))
        hub.take(a_message(2, tenant="other"))
    assert heard == [1]
    assert (offsets(hub, "acme"), offsets(hub, "other")) == ([1], [2])
    hub.take(an_erasure("other", "c"))
    assert (offsets(hub, "acme"), offsets(hub, "other")) == ([1], [])


def test_an_erasure_leaves_the_identitys_other_conversations() -> None:
    hub = a_hub()
    for number in range(6):
        hub.take(a_message(number, conversation=f"c{number % 2}"))
    hub.take(an_erasure("acme", "c0"))
    assert offsets(hub, "acme") == [1, 3, 5]
    hub.take(an_erasure("acme", "c1"))
    assert (hub._recent, hub._remembered_of) == ({}, {})


steps = st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from("xyz")), max_size=60)


@given(steps)
def test_the_index_is_what_is_remembered(taken: list[tuple[bool, str, str]]) -> None:
    """For any sequence of writing, forgetting and erasing, with full memory."""
    hub = a_hub(kept_messages=3, kept_identities=2)
    for number, (erased, identity, conversation) in enumerate(taken):
        if erased:
            hub.take(an_erasure("acme", conversation))
            assert not any(m.conversation_id == conversation for kept in hub._recent.values() for m in kept)
        else:
            hub.take(a_message(number, identity=identity, conversation=conversation))
            assert offsets(hub, "acme", identity)[-1] == number
        counted: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
        for key, kept in hub._recent.items():
            assert 0 < len(kept) <= 3
            for message in kept:
                of = counted.setdefault((key[0], message.conversation_id), {})
                of[key] = of.get(key, 0) + 1
        assert hub._remembered_of == counted
        assert len(hub._recent) <= 2


def test_an_erasure_costs_the_same_however_much_is_remembered() -> None:
    """Compares the CPU time of 300 erasures among 300 identities and among 3,000."""

    def cost(identities: int) -> float:
        hub = a_hub()
        for number in range(identities):
            hub.take(a_message(number, identity=f"i{number}", conversation=f"c{number}"))
        erasures = [an_erasure("acme", f"c{number}") for number in range(300)]
        begun = time.process_time()
        for erasure in erasures:
            hub.take(erasure)
        return time.process_time() - begun

    cost(300)
    small, large = min(cost(300) for _ in range(3)), min(cost(3_000) for _ in range(3))
    assert large < 4 * small
