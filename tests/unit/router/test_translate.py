"""Translation loses nothing, knows every kind, and refuses invalid values."""

from dataclasses import fields
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.policy.model.routing import AgentProfile, Operator, Selector
from services.policy.reading.numbers import LATEST_MS, LONGEST_MS
from services.policy.reading.selectors import DEEPEST, from_selector, to_selectors
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import InteractionAttributes
from services.router.translate.attributes import AttributesCache, from_attributes
from services.router.translate.commands import to_attributes, to_command
from services.router.translate.desk import KINDS, to_routing
from services.router.translate.events import BODIES
from services.router.translate.feed import encode_assignment
from services.router.translate.views import from_profile

_DURATIONS = st.integers(0, LONGEST_MS)
_TIMES = st.integers(0, LATEST_MS - 1)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_LETTERS = "ab=|é تهران\u200c"
_WORDS = st.text(_LETTERS, max_size=8)
_NAMES = st.text(_LETTERS, min_size=1, max_size=8)
_LEAVES = st.builds(
    Selector,
    attribute=_NAMES,
    operator=st.sampled_from([o for o in Operator if o]),
    number=_NUMBERS,
    text=_WORDS,
    texts=st.lists(_WORDS, max_size=3).map(tuple),
    expires_after_ms=_DURATIONS,
    weight=st.floats(0, 1e6),
    steps=st.dictionaries(st.integers(1, LONGEST_MS), _NUMBERS, max_size=3).map(lambda d: tuple(sorted(d.items()))),
)


def _grouped(members: st.SearchStrategy[Selector]) -> st.SearchStrategy[Selector]:
    some = st.lists(members, min_size=1, max_size=3).map(tuple)
    group = st.fixed_dictionaries({"expires_after_ms": _DURATIONS, "weight": st.floats(0, 1e6)})
    return st.one_of(
        members,
        st.builds(lambda kept, g: Selector("", any_of=kept, **g), some, group),
        st.builds(lambda kept, g: Selector("", all_of=kept, **g), some, group),
    )


SELECTORS = st.lists(_grouped(_grouped(_LEAVES)), max_size=2).map(tuple)
_ATTRIBUTES = st.builds(
    InteractionAttributes,
    interaction_id=_WORDS,
    conversation_id=_WORDS,
    person_id=_WORDS,
    channel=_WORDS,
    queue=_WORDS,
    priority=st.integers(-(2**31), 2**31 - 1),
    requirements=SELECTORS,
    labels=st.dictionaries(_WORDS, _WORDS, max_size=3).map(lambda d: tuple(sorted(d.items()))),
    arrived_at_ms=_TIMES,
    public=st.booleans(),
    due_at_ms=_TIMES,
    start_at_ms=_TIMES,
    preferred_agent=_WORDS,
    preferred_team=_WORDS,
    automatic=st.integers(0, 6),
)


def test_attributes_survive_the_way_to_the_log_and_back() -> None:
    """This includes labels, Persian text in them, and every field of a requirement."""
    selector = Selector("city", Operator.IN, 1.5, "x", ("تهران", "قم"), 30_000, 2.0, ((10_000, 1.0),))
    either = Selector("", any_of=(selector, Selector("vip", Operator.HAS)))
    attributes = InteractionAttributes(
        "i", "c", "p", "d", "webchat", "main", "fa", "q", -3, (selector, either), (("لایه", "طلا"),), 7, "r", True,
        8, 9, "a", "red", 3,
    )  # fmt: skip
    assert to_attributes(from_attributes(attributes)) == attributes
    assert all(getattr(attributes, f.name) for f in fields(InteractionAttributes)), "a field is not tried"


@settings(max_examples=25)
@given(_ATTRIBUTES)
def test_any_attributes_survive(attributes: InteractionAttributes) -> None:
    """This holds for any attributes, including groups within groups."""
    assert (
        to_attributes(pb.InteractionAttributes.FromString(from_attributes(attributes).SerializeToString()))
        == attributes
    )


# Requirements


def _nested(levels: int) -> types_pb2.Selector:
    made = types_pb2.Selector(attribute="french")
    for level in range(levels):
        made = types_pb2.Selector(all_of=[made]) if level % 2 else types_pb2.Selector(any_of=[made])
    return made


def test_groups_are_three_levels_deep_at_most() -> None:
    """Deeper ones are refused before any code descends into them, at any depth."""
    assert from_selector(to_selectors([_nested(DEEPEST)])[0]).any_of
    for levels in (DEEPEST + 1, 40):
        with pytest.raises(ValueError, match="3 levels"):
            to_selectors([_nested(levels)])


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"attribute": "x", "anyOf": [{"attribute": "y"}]},
        {"anyOf": [{"attribute": "x"}], "allOf": [{"attribute": "y"}]},
        {"attribute": "x", "number": "NaN"},
        {"attribute": "x", "number": "Infinity"},
        {"attribute": "x", "weight": "NaN"},
        {"attribute": "x", "weight": -1},
        {"attribute": "x", "operator": 9},
        {"attribute": "x", "operator": -1},
        {"attribute": "x", "expiresAfterMs": -1},
        {"attribute": "x", "expiresAfterMs": LONGEST_MS + 1},
        {"attribute": "x", "steps": [{"afterMs": 0, "number": 1}]},
        {"attribute": "x", "steps": [{"afterMs": 2, "number": 2}, {"afterMs": 2, "number": 1}]},
        {"attribute": "x", "steps": [{"afterMs": 2, "number": "NaN"}]},
        {"anyOf": [{"attribute": "x", "number": "NaN"}]},
    ],
)
def test_invalid_requirements_are_refused(selector: dict[str, Any]) -> None:
    """With adjusted values they would decide otherwise than their author wrote."""
    made = ParseDict(selector, types_pb2.Selector())
    with pytest.raises(ValueError, match=r"."):
        to_selectors([made])


# Commands


def _record(actor: int = types_pb2.ACTOR_KIND_SYSTEM, **body: Any) -> pb.RoutingCommand:
    return ParseDict({"commandId": "k", "tenant": "t", "actorKind": actor, **body}, pb.RoutingCommand())


def test_every_kind_of_command_can_be_read() -> None:
    """Translation knows every kind of the contract, and every kind of the domain has a contract."""
    ids = ("interactionId", "agentId", "sessionId", "messageId", "offerId", "conversationId")
    read = set()
    for field in pb.RoutingCommand.DESCRIPTOR.oneofs_by_name["command"].fields:
        assert field.message_type is not None
        known = {f.json_name for f in field.message_type.fields}
        body: dict[str, Any] = {name: "x" for name in ids if name in known}
        if field.name in ("enqueue", "receive_interaction"):
            body = {"interaction": {"interactionId": "i", "conversationId": "c"}}
        named: dict[str, Any] = {field.json_name: body}
        read.add(type(to_command(_record(**named))))
    known_to_the_engine = {c for c in vars(cmd).values() if isinstance(c, type) and issubclass(c, cmd.Command)}
    assert read == known_to_the_engine - {cmd.Command}


def test_newer_commands_are_converted_completely() -> None:
    """All fields are copied, including the expected epoch."""
    x = Selector("x", Operator.AT_LEAST, 4.0)
    requirements = [{"attribute": "x", "number": 4}]
    supervisor, agent = types_pb2.ACTOR_KIND_SUPERVISOR, types_pb2.ACTOR_KIND_AGENT
    transfer = {
        "agentId": "a", "interactionId": "i", "queue": "q", "toAgentId": "b", "requirements": requirements,
        "replaceRequirements": True, "labels": {"k": "v"}, "warm": True,
    }  # fmt: skip
    assert to_command(_record(agent, transferInteraction=transfer, expectedEpoch=7)) == cmd.TransferInteraction(
        "a", "i", "q", "b", (x,), (("k", "v"),), True, command_id="k", expected_epoch=7
    )
    kept = to_command(_record(transferInteraction={**transfer, "replaceRequirements": False}))
    assert isinstance(kept, cmd.TransferInteraction)
    assert kept.requirements is None
    assert to_command(_record(recallTransfer={"agentId": "a", "interactionId": "i"})) == cmd.RecallTransfer(
        "a", "i", command_id="k"
    )
    assert to_command(_record(requestCallback={"interactionId": "i", "atMs": 5})) == cmd.RequestCallback(
        "i", 5, command_id="k"
    )
    reprioritise = {"interactionId": "i", "add": -3, "reason": "r", "dueAtMs": 9}
    assert to_command(_record(supervisor, reprioritise=reprioritise)) == cmd.Reprioritise(
        "i", -3, "r", 9, command_id="k", supervisor=True
    )


def test_only_supervisors_force_and_only_agents_pick() -> None:
    """The actor decides, not a field that any caller could set."""
    assign = {"interactionId": "i", "agentId": "a"}
    forced = to_command(_record(types_pb2.ACTOR_KIND_SUPERVISOR, assignInteraction={**assign, "force": True}))
    assert forced == cmd.AssignInteraction("i", "a", True, False, command_id="k", supervisor=True)
    picked = to_command(_record(types_pb2.ACTOR_KIND_AGENT, assignInteraction=assign))
    assert picked == cmd.AssignInteraction("i", "a", False, True, command_id="k")
    for actor in (types_pb2.ACTOR_KIND_AGENT, types_pb2.ACTOR_KIND_SYSTEM, types_pb2.ACTOR_KIND_CUSTOMER):
        with pytest.raises(ValueError, match="supervisors"):
            to_command(_record(actor, assignInteraction={**assign, "force": True}))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"enqueue": {"interaction": {"interactionId": "i"}}},
        {"enqueue": {"interaction": {"interactionId": "i", "conversationId": "c", "arrivedAtMs": -1}}},
        {"enqueue": {"interaction": {"interactionId": "i", "conversationId": "c", "dueAtMs": -1}}},
        {"enqueue": {"interaction": {"interactionId": "i", "conversationId": "c", "startAtMs": LATEST_MS}}},
        {"cancelInteraction": {"interactionId": "i" * 201}},
        {"cancelInteraction": {"interactionId": "i"}, "expectedEpoch": -1},
        {"assignInteraction": {"interactionId": "i"}},
        {"assignInteraction": {"agentId": "a"}},
        {"recallTransfer": {"interactionId": "i"}},
        {"requestCallback": {"interactionId": "i", "atMs": -1}},
        {"reprioritise": {"interactionId": "i", "dueAtMs": LATEST_MS}},
        {"declineOffer": {"agentId": "a", "offerId": "o", "retryAfterMs": -1}},
        {"setAgentState": {"agentId": "a", "state": 5}},
        {"reroute": {"interactionId": "i", "requirements": [{}], "replaceRequirements": True}},
        {"upsertAgent": {"agent": {"agentId": "a", "skills": {"x": "NaN"}}}},
    ],
)
def test_invalid_commands_are_refused(body: dict[str, Any]) -> None:
    """Translation raises `ValueError`, and the lane makes the record a dead letter."""
    with pytest.raises(ValueError, match=r"."):
        to_command(_record(**body))


# Desks, events and views


def test_every_request_of_a_desk_becomes_a_command_or_is_the_gateways_own() -> None:
    """A request that no part of the router carries out would never be answered."""
    asked = {field.name for field in api.SessionRequest.DESCRIPTOR.oneofs_by_name["request"].fields}
    assert asked == KINDS | {"hello", "heartbeat"}
    for kind in sorted(KINDS):
        request = api.SessionRequest(request_id="r")
        getattr(request, kind).SetInParent()
        command = pb.RoutingCommand()
        to_routing(request, "a", "s", "reply", command)
        assert command.WhichOneof("command")


def test_a_desks_transfers_and_picks_become_complete_commands() -> None:
    """A warm transfer to requirements with context, its recall, and a pick, which assigns the interaction to the desk's own agent."""
    transfer = {
        "interactionId": "i", "queue": "q", "requirements": [{"attribute": "x", "number": 4}],
        "replaceRequirements": True, "labels": {"order": "17"}, "warm": True,
    }  # fmt: skip
    said = [ParseDict(body, api.SessionRequest()) for body in (
        {"transfer": transfer}, {"recall": {"interactionId": "i"}}, {"pick": {"interactionId": "i"}},
    )]  # fmt: skip
    heard = []
    for request in said:
        command = pb.RoutingCommand(command_id="k", actor_kind=types_pb2.ACTOR_KIND_AGENT)
        to_routing(request, "a", "s", "reply", command)
        heard.append(to_command(command))
    requires = (Selector("x", Operator.AT_LEAST, 4.0),)
    assert heard == [
        cmd.TransferInteraction("a", "i", "q", "", requires, (("order", "17"),), True, command_id="k"),
        cmd.RecallTransfer("a", "i", command_id="k"),
        cmd.AssignInteraction("i", "a", False, True, command_id="k"),
    ]


def test_events_are_written_completely() -> None:
    """This includes schedules, overflow, parking and estimates."""
    attributes = InteractionAttributes("i", "c")
    written = {}
    for event in (
        fx.Scheduled(attributes, 1, "r", 50),
        fx.Queued(attributes, 1, "r", 2, -1, True, -1),
        fx.Overflowed(attributes, 1, "r", "q", "too many"),
        fx.Parked(attributes, 1, "r", "a", "call"),
        fx.Resumed(attributes, 1, "r", "a"),
        fx.Assigned(attributes, 1, "r", "a", "", 9, 7, 8, True),
    ):
        record = pb.RoutingEvent.FromString(BODIES[type(event)](event))
        written[record.WhichOneof("event")] = record
    assert written["scheduled"].scheduled == pb.InteractionScheduled(start_at_ms=50)
    assert written["queued"].queued == pb.InteractionQueued(
        position=2, estimated_wait_ms=-1, again=True, estimated_p90_ms=-1
    )
    assert written["overflowed"].overflowed == pb.InteractionOverflowed(from_queue="q", rule="too many")
    assert written["parked"].parked == pb.InteractionParked(agent_id="a", by="call")
    assert written["resumed"].resumed == pb.InteractionResumed(agent_id="a")
    assert written["assigned"].assigned == pb.InteractionAssigned(
        agent_id="a", waited_ms=9, estimated_p50_ms=7, estimated_p90_ms=8, over_capacity=True
    )


def test_desks_and_directories_see_the_newer_fields() -> None:
    """They see whether an interaction is parked, and an agent's team."""
    notice = fx.AssignmentNotice(InteractionAttributes("i", "c"), 1, parked=True)
    assert pb.AssignmentView.FromString(encode_assignment(notice, AttributesCache())).parked
    assert from_profile("default", AgentProfile("a", team="red")).team == "red"
