"""Sends commands to the shards and replies to customers, by Kafka; the results of commands come back by the feed."""

import asyncio

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.ids import derive, random_id
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.keys import tenant_key
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.sealing import seal
from services.router.domain.reasons import Reason
from services.router.ports import Outcome

OUTBOUND = "outbound.v1"
COMMANDS = "routing.commands.v1"


class CommandBus:
    """Implements `ports.Commands` and `ports.Replies`."""

    def __init__(
        self, producer: DurableProducer, keys: AwaitedKeys, gateway_id: str, feed_partition: int, clock: Clock
    ) -> None:
        self._producer = producer
        self._keys = keys
        self._reply_to = pb.ReplyTo(gateway_id=gateway_id, feed_partition=feed_partition)
        self._clock = clock
        self._waiting: dict[str, list[asyncio.Future[Outcome]]] = {}

    def new(self, tenant: str, pool: str, command_id: str) -> pb.RoutingCommand:
        """See `ports.Commands`."""
        return pb.RoutingCommand(
            command_id=command_id,
            tenant=tenant,
            pool=pool,
            issued_at_ms=self._clock(),
            reply_to=self._reply_to,
            actor_kind=types_pb2.ACTOR_KIND_AGENT,
        )

    async def ask(self, command: pb.RoutingCommand, timeout_s: float) -> Outcome:
        """See `ports.Commands`."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(command.command_id, [])
        waiting.append(answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self._publish(command)
                return await answer
        except TimeoutError as error:
            raise ChaparError(
                ErrorKind.DEADLINE,
                Reason.NO_RESULT_IN_TIME,
                "the shard has not answered in time; repeat the request with the same id",
            ) from error
        finally:
            waiting.remove(answer)
            if not waiting:
                self._waiting.pop(command.command_id, None)

    async def tell(self, command: pb.RoutingCommand) -> None:
        """See `ports.Commands`."""
        await self._publish(command)

    def resolve(self, result: pb.CommandResult) -> None:
        """Resolve the call that waits for a result that came by the feed."""
        for answer in self._waiting.get(result.command_id, ()):
            if not answer.done():
                answer.set_result(Outcome(result.ok, result.reason))

    async def send(
        self,
        reply_id: str,
        tenant: str,
        agent_id: str,
        attributes: pb.InteractionAttributes,
        reply: api.Reply,
        pool: str = "",
    ) -> None:
        """See `ports.Replies`.

        The text is sealed with a key of the customer's identity: the shard never sees it, and the log never has it in clear.
        """
        record = ingest_pb.OutboundRecord(
            tenant=tenant,
            conversation_id=attributes.conversation_id,
            request=ingest_pb.OutboundRequest(
                request_id=reply_id,
                tenant=tenant,
                conversation_id=attributes.conversation_id,
                interaction_id=attributes.interaction_id,
                text=reply.text,
                to=reply.to,
                cc=reply.cc,
                purpose=ingest_pb.OUTBOUND_PURPOSE_REPLY,
                author_kind=types_pb2.ACTOR_KIND_AGENT,
                author_id=agent_id,
                requested_at_ms=self._clock(),
                pool=pool,
                queue=attributes.queue,
                template=reply.template if reply.HasField("template") else None,
                attachments=[_attachment(each) for each in reply.files],
            ),
        )
        try:
            own = await self._keys.ensure(tenant, attributes.identity_id or attributes.conversation_id)
        except BrokerUnavailable as error:
            raise _away() from error
        key = tenant_key(tenant, attributes.conversation_id)
        await self._write(OUTBOUND, key, seal(record, own, OUTBOUND, key), derive(tenant, reply_id), tenant)

    async def _publish(self, command: pb.RoutingCommand) -> None:
        key = tenant_key(command.tenant, command.pool)
        # A command whose repetition is harmless has no id; its record has one.
        await self._write(COMMANDS, key, command.SerializeToString(), command.command_id or random_id(), command.tenant)

    async def _write(self, topic: str, key: bytes, value: bytes, event_id: str, tenant: str) -> None:
        try:
            await self._producer.publish(topic, key, value, record_headers(topic, event_id, tenant))
        except BrokerUnavailable as error:
            raise _away() from error
        except RecordTooLarge as error:
            raise ChaparError(ErrorKind.TOO_LARGE, Reason.TOO_LARGE, "the request is too large") from error


def _attachment(file: types_pb2.SentFile) -> ingest_pb.Attachment:
    return ingest_pb.Attachment(
        file_id=file.file_id,
        owner_id=file.owner_id,
        name=file.name,
        content_type=file.content_type,
        size=file.size,
        sha256=file.sha256,
        state=ingest_pb.ATTACHMENT_STATE_STORED,
    )


def _away() -> ChaparError:
    return ChaparError(
        ErrorKind.UNAVAILABLE, Reason.BROKER_UNAVAILABLE, "Kafka can't be reached; try again", retry_after_s=1
    )
