"""`AgentService.Session`: the stream of one agent's desk.

The requests of one desk are carried out one after the other. So a reply is on its way before the interaction can be completed, and a desk that
repeats a request without an answer meets the same state. The resume token is the session's id: it is unguessable, only the desk has it, and the
shard knows it, so that any replica can resume with it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from chapar.router.v1 import router_pb2_grpc
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.chassis.grpc.requests import RequestRefused, with_refusals
from services.chassis.ids import derive, random_id
from services.chassis.lifecycle import leaves
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.policy.model.mail_addresses import first_wrong
from services.policy.reading.routing import DEFAULT_POOL
from services.router.adapters.configured_pools import AgentPools
from services.router.adapters.desk_session import DeskSession
from services.router.adapters.gateway import Gateway
from services.router.adapters.outcomes import refusal
from services.router.adapters.pool_names import pool_named
from services.router.domain.reasons import Reason
from services.router.ports import Commands, Replies
from services.router.translate.commands import to_command
from services.router.translate.desk import KINDS, reply_refusal, to_routing

_HELLO_S: Final = 10.0
_CLOSE_S: Final = 3.0
_INBOX: Final = 64
_MAX_REQUEST_ID: Final = 128
_MISSED: Final = 3


class AgentService(router_pb2_grpc.AgentServiceServicer):
    """Serves `AgentService`; see the module."""

    def __init__(
        self,
        gateway: Gateway,
        commands: Commands,
        replies: Replies,
        pools: AgentPools,
        clock: Clock,
        metrics: Metrics,
        *,
        heartbeat_ms: int,
        command_timeout_s: float,
    ) -> None:
        self._gateway = gateway
        self._commands = commands
        self._replies = replies
        self._pools = pools
        self._clock = clock
        self._heartbeat_ms = heartbeat_ms
        self._timeout_s = command_timeout_s
        self._begun = metrics.counter("chapar_gateway_sessions_begun_total")
        self._seconds = metrics.histogram("chapar_gateway_command_seconds")
        self._log = get_logger(__name__)

    # gRPC's name; a coroutine that writes to its context, which grpc.aio serves as well as a generator.
    async def Session(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[api.SessionRequest], context: Any
    ) -> None:
        """Serve one session, from Hello to the end of the stream."""
        requests = aiter(request_iterator)
        session, hello = await self._hello(requests)
        self._gateway.add(session)
        try:
            await self._sign_in(session, hello)
            await self._run(session, requests, context)
        except ExceptionGroup as group:
            raise leaves(group)[0] from group
        finally:
            self._gateway.remove(session)
            if session.welcomed and not session.ended_by_shard:
                await self._give_up(session)
        if session.failure is not None:
            raise session.failure

    async def _hello(self, requests: AsyncIterator[api.SessionRequest]) -> tuple[DeskSession, api.Hello]:
        if self._gateway.draining:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.DRAINING, "this replica is shutting down: connect to another"
            )
        try:
            async with asyncio.timeout(_HELLO_S):
                first = await anext(requests)
        except (TimeoutError, StopAsyncIteration) as error:
            raise invalid("request", "the first message of a session is Hello", reason=Reason.HELLO_MISSING) from error
        if first.WhichOneof("request") != "hello":
            raise invalid("request", "the first message of a session is Hello", reason=Reason.HELLO_MISSING)
        hello = first.hello
        caller, tenant = current_caller(), current_tenant()
        agent_id = caller.agent_id
        if not agent_id:
            # Otherwise any caller who may open a session could choose its agent: this finds an identity provider that omits the claim.
            raise ChaparError(
                ErrorKind.PERMISSION_DENIED,
                Reason.NO_AGENT,
                "the token does not name an agent: only agents have a desk",
            )
        if hello.agent_id and hello.agent_id != agent_id:
            raise ChaparError(ErrorKind.PERMISSION_DENIED, Reason.NOT_YOUR_AGENT, "the token names another agent")
        named = pool_named(hello.pool, "hello.pool") if hello.pool else ""
        pool = named or await self._pools.of(tenant, agent_id) or DEFAULT_POOL
        return DeskSession(random_id(), tenant, pool, agent_id, self._clock), hello

    async def _sign_in(self, session: DeskSession, hello: api.Hello) -> None:
        command = self._commands.new(session.tenant, session.pool, derive("sign-in", session.session_id))
        command.actor_id = session.agent_id
        command.sign_in.CopyFrom(
            pb.SignIn(
                agent_id=session.agent_id,
                session_id=session.session_id,
                resumes_session_id=hello.resume_token,
                credits=hello.credits,
                state=hello.state,
            )
        )
        try:
            to_command(command)
        except ValueError as error:
            raise invalid("hello", str(error)) from error
        session.on_snapshot = lambda: self._welcome(session)
        try:
            outcome = await self._commands.ask(command, self._timeout_s)
        except ChaparError:
            self._begun.labels("refused").inc()
            session.welcomed = True  # the shard may have opened it: then it is given up in order
            raise
        if not outcome.ok:
            self._begun.labels("refused").inc()
            if outcome.reason == Reason.UNKNOWN_AGENT:
                await self._refuse_other_pool(session)
            raise refusal(outcome.reason)
        self._begun.labels("resumed" if hello.resume_token else "new").inc()
        self._log.info("session opened", agent_id=session.agent_id, pool=session.pool)

    async def _refuse_other_pool(self, session: DeskSession) -> None:
        """Name the agent's pool to a desk that names another one, as it does after the agent was moved."""
        own = await self._pools.of(session.tenant, session.agent_id)
        if own and own != session.pool:
            raise ChaparError(
                ErrorKind.NOT_FOUND,  # final, as UNKNOWN_AGENT: the desk would name the same pool again
                Reason.OTHER_POOL,
                f"the agent is in pool {own}, not in {session.pool}: name that pool, or none",
            )

    def _welcome(self, session: DeskSession) -> None:
        session.welcomed = True
        session.send(
            api.SessionResponse(
                welcome=api.Welcome(
                    session_id=session.session_id,
                    resume_token=session.session_id,
                    heartbeat_ms=self._heartbeat_ms,
                    snapshot=session.snapshot,
                )
            )
        )

    async def _run(self, session: DeskSession, requests: AsyncIterator[api.SessionRequest], context: Any) -> None:
        inbox: asyncio.Queue[api.SessionRequest] = asyncio.Queue(_INBOX)
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._read(session, requests, inbox)),
                tasks.create_task(self._work(session, inbox)),
                tasks.create_task(self._watch(session)),
            ]
            while (response := await session.next()) is not None:
                await context.write(response)
            for task in beside:
                task.cancel()

    async def _read(
        self,
        session: DeskSession,
        requests: AsyncIterator[api.SessionRequest],
        inbox: asyncio.Queue[api.SessionRequest],
    ) -> None:
        async for request in with_refusals(requests):
            session.alive_at = self._clock()
            if isinstance(request, RequestRefused):
                # One request that breaks its limits does not end an agent's session.
                session.result(
                    request.request.request_id[:_MAX_REQUEST_ID], False, Reason.REQUEST_INVALID, request.message
                )
            elif request.WhichOneof("request") == "heartbeat":
                session.send(api.SessionResponse(heartbeat=api.Heartbeat()))
            else:
                await inbox.put(request)
        await inbox.join()  # requests that came before the desk closed the stream are still carried out
        session.finish()

    async def _watch(self, session: DeskSession) -> None:
        """End a session whose desk is silent for three heartbeats, even if TCP still holds the connection."""
        silence = _MISSED * self._heartbeat_ms
        while (left := session.alive_at + silence - self._clock()) > 0:  # noqa: ASYNC110 - it waits for time, not for an event
            await asyncio.sleep(left / 1000)
        session.finish(ChaparError(ErrorKind.ABORTED, Reason.HEARTBEATS_MISSED, "the desk was silent for too long"))

    async def _work(self, session: DeskSession, inbox: asyncio.Queue[api.SessionRequest]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            request = await inbox.get()
            begun = loop.time()
            session.asking = True
            await self._carry_out(session, request)
            session.answered()
            self._seconds.labels(request.WhichOneof("request") or "none").observe(loop.time() - begun)
            inbox.task_done()

    async def _carry_out(self, session: DeskSession, request: api.SessionRequest) -> None:
        kind, request_id = request.WhichOneof("request"), request.request_id
        if not request_id or len(request_id) > _MAX_REQUEST_ID:
            session.result(request_id[:_MAX_REQUEST_ID], False, Reason.REQUEST_ID_INVALID, "give each request an id")
            return
        if kind not in KINDS:
            session.result(request_id, False, Reason.UNKNOWN_REQUEST, "this request is not known here")
            return
        if kind == "reply" and (reason := reply_refusal(request.reply)):
            session.result(request_id, False, reason)
            return
        if kind == "reply" and (wrong := first_wrong(request.reply.to, request.reply.cc)):
            session.result(request_id, False, Reason.RECIPIENTS_INVALID, wrong)
            return
        command_id = derive(session.tenant, session.agent_id, request_id)
        command = self._commands.new(session.tenant, session.pool, command_id)
        command.actor_id = session.agent_id
        to_routing(request, session.agent_id, session.session_id, command_id, command)
        try:
            to_command(command)
        except ValueError as error:
            # The shard would make it a dead letter, and the desk would never get an answer.
            session.result(request_id, False, Reason.REQUEST_INVALID, str(error))
            return
        try:
            outcome = await self._commands.ask(command, self._timeout_s)
            if outcome.ok and kind == "reply":
                await self._reply(session, command_id, request.reply)
        except ChaparError as error:
            session.result(request_id, False, error.reason, error.message)
            return
        session.result(request_id, outcome.ok, outcome.reason)
        if kind == "sign_out" and outcome.ok:
            session.ended_by_shard = True
            session.finish()  # the desk asked for it: not an error

    async def _reply(self, session: DeskSession, reply_id: str, reply: api.Reply) -> None:
        attributes = session.attributes(reply.interaction_id)
        if attributes is None:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION, Reason.NOT_ASSIGNED, "the interaction is not held in this session"
            )
        await self._replies.send(reply_id, session.tenant, session.agent_id, attributes, reply, session.pool)

    async def _give_up(self, session: DeskSession) -> None:
        """Report the lost connection to the shard. If that fails, the end of the lease does it."""
        command = self._commands.new(session.tenant, session.pool, derive("lost", session.session_id))
        command.ClearField("reply_to")
        command.actor_id = session.agent_id
        command.close_session.CopyFrom(pb.CloseSession(agent_id=session.agent_id, session_id=session.session_id))
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._commands.tell(command)
        except (ChaparError, TimeoutError) as error:
            self._log.warning("the shard could not be notified of the session's end", error=type(error).__name__)
