"""Commands to feedback.commands.v1, durable before the caller gets a confirmation."""

from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.keys import tenant_key
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.sealing import bare, seal
from services.feedback.domain.reasons import Reason

_TOPIC: Final = "feedback.commands.v1"


class KafkaCommandLog:
    """Implements `ports.CommandLog`."""

    def __init__(self, producer: DurableProducer, keys: AwaitedKeys) -> None:
        self._producer = producer
        self._keys = keys

    async def publish(self, command: pb.FeedbackCommand, *, proven: bool = True) -> None:
        """See `ports.CommandLog`."""
        try:
            named = record_headers(_TOPIC, command.command_id, command.tenant)
            key = tenant_key(command.tenant, command.person_id)
            if command.WhichOneof("command") == "response":
                find = self._keys.ensure if proven else self._keys.existing
                own = await find(command.tenant, command.person_id)
                value = seal(command, own, _TOPIC, key) if own is not None else bare(command)
            else:
                if command.WhichOneof("command") == "invite":
                    await self._keys.ensure(command.tenant, command.person_id)  # a response may follow at once
                value = command.SerializeToString()
            await self._producer.publish(_TOPIC, key, value, named)
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.BROKER_UNAVAILABLE, "the log cannot be written right now", retry_after_s=5
            ) from error
        except RecordTooLarge as error:
            raise ChaparError(ErrorKind.TOO_LARGE, Reason.TOO_LARGE, "the command is too large") from error
