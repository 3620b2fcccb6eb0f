"""Lives of a shard: steps that Hypothesis chooses, interpreted by the state that they meet."""

import random
from typing import Any

from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.router.domain.model import Stage
from tests.unit.router.replay.recorded import AGENTS, QUEUES, Recorded, a_configuration

Step = tuple[str, int, int]

_CALM = (
    *("enqueue",) * 6, *("accept",) * 6, *("complete",) * 4, *("wait",) * 3, "decline", "wrap", "message", "left", "cancel",
    "transfer", "reroute", "raise", "label", "renew", "sign_in", "close", "state", "learn", "reconfigure", "again", "garbage",
    "hand_on", "hand_on", "recall", "assign", "assign", "call_back", "call_back",
    "behind", "outage", *("cut",) * 4,
)  # fmt: skip
_WAITS = (1, 500, 3_000, 6_000, 10_000, 21_000, 700_000)


def lives(*, takeovers: bool, least: int = 0) -> st.SearchStrategy[list[Step]]:
    """Draw up to forty steps; some of them change the owner."""
    kinds = (*_CALM, "crash", "crash", "crash") if takeovers else _CALM
    return st.lists(
        st.tuples(st.sampled_from(kinds), st.integers(0, 11), st.integers(0, 11)), min_size=least, max_size=40
    )


def some_steps(chance: random.Random, count: int) -> list[Step]:
    """Return steps without Hypothesis, including changes of the owner."""
    kinds = (*_CALM, "crash")
    return [(chance.choice(kinds), chance.randrange(12), chance.randrange(12)) for _ in range(count)]


def live(shard: Recorded, steps: list[Step]) -> None:
    """Carry out all steps."""
    for kind, a, b in steps:
        _do(shard, kind, a, b)
    shard.cut()


def _do(shard: Recorded, kind: str, a: int, b: int) -> None:  # noqa: C901 - one short case for each kind of step
    agent, session = AGENTS[a % 4], ""
    if agent in shard.core.agents:
        session = shard.core.agents[agent].session_id
    interaction = _one(shard, a)
    name = interaction.id if interaction is not None else "nobody"
    match kind:
        case "enqueue":
            shard.enqueue(QUEUES[a % 3], ("chat", "mail")[b % 2], b)
        case "accept" | "decline":
            _answer(shard, kind, a)
        case "complete" | "wrap":
            _finish(shard, kind, a)
        case "wait":
            shard.wait(_WAITS[a % 7])
        case "message":
            shard.tell(customer_messaged=pb.CustomerMessaged(interaction_id=name, message_id=f"m-{b}"))
        case "left":
            shard.tell(customer_left=pb.CustomerLeft(interaction_id=name))
        case "cancel":
            shard.tell(cancel_interaction=pb.CancelInteraction(interaction_id=name, reason="DUPLICATE"))
        case "transfer":
            shard.tell(
                transfer_interaction=pb.TransferInteraction(
                    interaction_id=name,
                    agent_id=interaction.agent_id if interaction is not None else "",
                    queue=QUEUES[b % 3],
                    to_agent_id=AGENTS[b % 4] if b % 2 else "",
                )
            )
        case "hand_on":
            _hand_on(shard, a, b)
        case "recall":
            shard.tell(recall_transfer=pb.RecallTransfer(agent_id=agent, interaction_id=name))
        case "assign":
            order = pb.AssignInteraction(interaction_id=name, agent_id=AGENTS[b % 4], force=b % 2 > 0)
            shard.tell(assign_interaction=order, actor_kind=types_pb2.ACTOR_KIND_SUPERVISOR, actor_id="boss")
        case "call_back":
            at_ms = shard.lane.now_ms + _WAITS[b % 6] if b % 3 else 0
            shard.tell(request_callback=pb.RequestCallback(interaction_id=name, at_ms=at_ms))
        case "reroute":
            shard.tell(reroute=pb.Reroute(interaction_id=name, queue=QUEUES[b % 3]))
        case "raise":
            shard.tell(reprioritise=pb.Reprioritise(interaction_id=name, add=b, reason="SLA_WARNING"))
        case "label":
            shard.tell(update_interaction=pb.UpdateInteraction(interaction_id=name, labels={"tier": f"t{b}", "z": "1"}))
        case "renew":
            shard.tell(renew_leases=pb.RenewLeases(session_ids=[s for s in (*shard.core.sessions, "gone") if b % 3]))
        case "sign_in":
            shard.sign_in(agent)
        case "close":
            shard.tell(
                close_session=pb.CloseSession(agent_id=agent, session_id=session or "none", signed_out=b % 2 > 0)
            )
        case "state":
            states: Any = (pb.AGENT_STATE_AWAY, pb.AGENT_STATE_AVAILABLE, pb.AGENT_STATE_OFFLINE)
            shard.tell(set_agent_state=pb.SetAgentState(agent_id=agent, state=states[b % 3], reason="lunch"))
        case "learn":
            profile = a_configuration().agents[a % 4]
            profile.skills["persian"] = float(b)
            shard.tell(upsert_agent=pb.UpsertAgent(agent=profile))
        case "reconfigure":
            wanted = a_configuration(2 + b, offer_ms=(5_000, 10_000)[b % 2])
            shard.tell(activate_configuration=pb.ActivateConfiguration(configuration=wanted))
        case "again":
            shard.put(shard.commands[-1 - (a * 12 + b) % len(shard.commands)].value or b"")
        case "garbage":
            shard.put((b"\xff\xff", b"", pb.RoutingCommand(tenant="acme").SerializeToString())[a % 3])
        case "behind":
            shard.lane.behind_ms = (0, 1, 300, 4_000, 15_000, 1 << 40)[a % 6]
        case "outage":
            shard.lane.returned = True
        case "crash":
            shard.crash(_WAITS[a % 7] if b % 2 else 0)
        case _:
            shard.cut()


def _one(shard: Recorded, number: int, *stages: Stage) -> Any:
    found = shard.interactions(*stages)
    return found[number % len(found)] if found else None


def _answer(shard: Recorded, kind: str, a: int) -> None:
    interaction = _one(shard, a, Stage.OFFERED)
    if interaction is None:
        return
    agent_id, offer_id = interaction.offer.agent_id, interaction.offer.offer_id
    if kind == "accept":
        shard.tell(accept_offer=pb.AcceptOffer(agent_id=agent_id, offer_id=offer_id))
    else:
        shard.tell(
            decline_offer=pb.DeclineOffer(agent_id=agent_id, offer_id=offer_id, reason="BUSY", retry_after_ms=a * 500)
        )


def _hand_on(shard: Recorded, a: int, b: int) -> None:
    interaction = _one(shard, a, Stage.ASSIGNED)
    if interaction is None:
        return
    shard.tell(
        transfer_interaction=pb.TransferInteraction(
            interaction_id=interaction.id,
            agent_id=interaction.agent_id,
            queue="" if b % 2 else QUEUES[b % 3],
            to_agent_id=AGENTS[b % 4] if b % 2 else "",
            warm=b % 3 > 0,
            labels={"told": "yes", "by": interaction.agent_id},
        )
    )


def _finish(shard: Recorded, kind: str, a: int) -> None:
    interaction = _one(shard, a, Stage.ASSIGNED if kind == "complete" else Stage.WRAP_UP)
    if interaction is None:
        return
    if kind == "complete":
        shard.tell(
            record_reply=pb.RecordReply(
                agent_id=interaction.agent_id, interaction_id=interaction.id, reply_id=f"r-{shard.count}"
            )
        )
        shard.tell(
            complete_interaction=pb.CompleteInteraction(
                agent_id=interaction.agent_id, interaction_id=interaction.id, disposition="solved"
            )
        )
    else:
        shard.tell(end_wrap_up=pb.EndWrapUp(agent_id=interaction.agent_id, interaction_id=interaction.id))
