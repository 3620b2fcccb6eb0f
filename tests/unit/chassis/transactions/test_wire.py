"""What a broker sends is decoded or refused, whatever it is; what we send is what the protocol says."""

import struct
from io import BytesIO

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.transactions.hanging_requests import (
    ActiveProducer,
    Described,
    DescribeProducers,
    DescribeTransactions,
    Listed,
    ListedTransactions,
    ListTransactions,
    ProducersOf,
    WriteTxnMarkers,
)
from services.chassis.kafka.transactions.requests import (
    AddPartitions,
    Ended,
    EndTxn,
    FeaturesRequest,
    Identity,
    Initialized,
    InitProducerId,
    OwnRequest,
    Produce,
    Produced,
    ResponseMalformed,
)
from services.chassis.kafka.transactions.topic_ids import TopicIdsRequest
from services.chassis.kafka.transactions.verdicts import Verdict, verdict_of
from services.chassis.kafka.transactions.wire import Malformed, Reader, array_head, string, varint

ME = Identity(7, 3)
REQUESTS = (
    FeaturesRequest(),
    InitProducerId("id", 15_000),
    AddPartitions("id", ME, {"t": [0, 1]}),
    Produce("id", {"t": {0: b"batch"}}, 15_000, v2=True),
    EndTxn("id", ME, commit=True, v2=True),
    TopicIdsRequest(("t",)),
    DescribeProducers({"t": [0, 1]}),
    ListTransactions((7,), ("Ongoing",)),
    DescribeTransactions(("id",)),
    WriteTxnMarkers(ME, 0, {"t": [0, 1]}, commit=True),
)
VALID = {
    FeaturesRequest: b"\x00\x00\x02\x00\x16\x00\x00\x00\x05\x00" + bytes(4) + b"\x00",
    InitProducerId: struct.pack(">ihqh", 0, 0, 7, 3) + b"\x00",
    AddPartitions: bytes(4) + b"\x02\x02t\x02" + struct.pack(">ih", 1, 51) + b"\x00\x00\x00",
    Produce: b"\x02\x02t\x02" + struct.pack(">ihqqq", 1, 87, -1, -1, -1) + b"\x01\x04odd\x00\x00" + bytes(4) + b"\x00",
    EndTxn: struct.pack(">ihqh", 0, 0, 7, 4) + b"\x00",
    TopicIdsRequest: bytes(4)
    + (b"\x02" + struct.pack(">i", 1) + b"\x02h" + struct.pack(">i", 9092) + b"\x00\x00")
    + (b"\x02c" + struct.pack(">i", 1))
    + (b"\x02\x00\x00\x02t" + bytes(15) + b"\x07\x00")
    + (b"\x02" + struct.pack(">hiii", 0, 0, 1, 5) + (b"\x02" + struct.pack(">i", 1)) * 2 + b"\x01\x00")
    + (bytes(4) + b"\x00\x00"),
    DescribeProducers: bytes(4)
    + (b"\x02\x02t\x02" + struct.pack(">ih", 1, 0) + b"\x00")
    + (b"\x02" + struct.pack(">qiiqiq", 7, 3, 5, 1_000, 2, 62) + b"\x00")
    + b"\x00\x00\x00",
    ListTransactions: bytes(6) + b"\x01" + (b"\x02\x03id" + struct.pack(">q", 7) + b"\x08Ongoing\x00") + b"\x00",
    DescribeTransactions: bytes(4)
    + (b"\x02" + bytes(2) + b"\x03id\x08Ongoing" + struct.pack(">iqqh", 60_000, 1_000, 7, 3))
    + (b"\x02\x02t\x02" + struct.pack(">i", 1) + b"\x00")
    + b"\x00\x00",
    WriteTxnMarkers: b"\x02"
    + struct.pack(">q", 7)
    + (b"\x02\x02t\x02" + struct.pack(">ih", 1, 51))
    + b"\x00\x00\x00\x00",
}


@given(st.integers(0, 2**32 - 1))
def test_a_number_survives(value: int) -> None:
    assert Reader(varint(value)).varint() == value


@given(st.text(max_size=300))
def test_a_string_survives(text: str) -> None:
    assert Reader(string(text)).string() == text


def test_null_is_no_string_and_an_empty_array() -> None:
    assert Reader(b"\x00").string() is None
    assert Reader(b"\x00").array(Reader.int16) == []


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(request_: OwnRequest[object], content: bytes) -> None:
    """A response never raises: aiokafka would leave the caller waiting, and the connection out of step."""
    found = request_.decode(BytesIO(content))
    assert isinstance(found, ResponseMalformed | tuple | dict | list)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_response_cut_anywhere_is_refused(request_: OwnRequest[object]) -> None:
    """A valid response is read to the end of what matters: shorter ones are malformed, not guessed."""
    whole = VALID[type(request_)]
    assert not isinstance(request_.decode(BytesIO(whole)), ResponseMalformed)
    for length in range(len(whole) - 8):
        found = request_.decode(BytesIO(whole[:length]))
        assert isinstance(found, ResponseMalformed), length


def test_a_length_that_does_not_fit_is_refused_at_once() -> None:
    """An array of four thousand million elements in a response of six bytes costs nothing."""
    with pytest.raises(Malformed, match="does not fit"):
        Reader(array_head(2**32 - 2) + b"\x01").array(Reader.int16)
    with pytest.raises(Malformed, match="longer than 32 bits"):
        Reader(b"\xff" * 6).varint()


def test_responses_say_what_the_broker_said() -> None:
    add, produce = VALID[AddPartitions], VALID[Produce]
    assert InitProducerId("id", 1).decode(BytesIO(VALID[InitProducerId])) == Initialized(0, Identity(7, 3))
    assert AddPartitions("id", ME, {}).decode(BytesIO(add)) == {("t", 1): 51}
    assert Produce("id", {}, 1, v2=True).decode(BytesIO(produce)) == {("t", 1): Produced(87, "odd")}
    assert EndTxn("id", ME, commit=True, v2=True).decode(BytesIO(VALID[EndTxn])) == Ended(0, Identity(7, 4))
    assert TopicIdsRequest(("t",)).decode(BytesIO(VALID[TopicIdsRequest])) == {"t": f"{7:032x}"}


def test_responses_about_transactions_of_others_say_what_the_broker_said() -> None:
    producers = ProducersOf(0, (ActiveProducer(7, 3, 1_000, 2, 62),))
    assert DescribeProducers({}).decode(BytesIO(VALID[DescribeProducers])) == {("t", 1): producers}
    listed = ListedTransactions(0, (Listed("id", 7),))
    assert ListTransactions().decode(BytesIO(VALID[ListTransactions])) == listed
    described = Described(0, "id", "Ongoing", Identity(7, 3), frozenset({("t", 1)}))
    assert DescribeTransactions(()).decode(BytesIO(VALID[DescribeTransactions])) == [described]
    marked = WriteTxnMarkers(ME, 0, {}, commit=False).decode(BytesIO(VALID[WriteTxnMarkers]))
    assert marked == {("t", 1): 51}


def test_version_2_is_chosen_by_the_request_and_the_older_ones_by_the_broker() -> None:
    """Version 2 of transactions needs exactly its versions; before it, the newest that both know."""
    older = EndTxn("id", ME, commit=True, v2=False)
    assert older.prepare({26: (0, 3)}).API_VERSION == 3
    assert older.prepare({26: (0, 9)}).API_VERSION == 4
    assert EndTxn("id", ME, commit=True, v2=True).prepare({26: (0, 9)}).API_VERSION == 5
    with pytest.raises(IncompatibleBrokerVersion, match="EndTxn 5 to 5: the broker takes 0 to 4"):
        EndTxn("id", ME, commit=True, v2=True).prepare({26: (0, 4)})
    with pytest.raises(IncompatibleBrokerVersion):
        older.prepare({})


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0, Verdict.DONE),
        (46, Verdict.DONE),
        (6, Verdict.RETRY),
        (51, Verdict.RETRY),
        (10, Verdict.ABORT),
        (29, Verdict.ABORT),
        (87, Verdict.ABORT),
        (120, Verdict.ABORT),
        (47, Verdict.FENCED),
        (90, Verdict.FENCED),
        (45, Verdict.FATAL),
        (53, Verdict.FATAL),
    ],
)
def test_an_error_has_one_meaning(code: int, verdict: Verdict) -> None:
    assert verdict_of(code) is verdict


@given(st.integers(-(2**15), 2**15 - 1))
def test_every_code_has_a_meaning(code: int) -> None:
    """A code that the table does not list ends the transaction: it is never taken for success, nor tried for ever."""
    known = verdict_of(code)
    assert known is not Verdict.DONE or code in (0, 46)
