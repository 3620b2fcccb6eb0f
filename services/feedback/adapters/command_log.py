"""Commands to feedback.commands.v1, durable before anybody is told so."""

from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer, RecordTooLarge
from services.chassis.keys import tenant_key
from services.feedback.translate import headers

_TOPIC: Final = "feedback.commands.v1"
_SCHEMA: Final = pb.FeedbackCommand.DESCRIPTOR.full_name


class KafkaCommandLog:
    """Implements `ports.CommandLog`."""

    def __init__(self, producer: DurableProducer) -> None:
        self._producer = producer

    async def publish(self, command: pb.FeedbackCommand) -> None:
        try:
            await self._producer.publish(
                _TOPIC,
                tenant_key(command.tenant, command.person_id),
                command.SerializeToString(),
                headers(_SCHEMA, command.command_id, command.tenant),
            )
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, "LOG_UNAVAILABLE", "the log can't be written right now", retry_after_s=5
            ) from error
        except RecordTooLarge as error:
            raise ChaparError(ErrorKind.TOO_LARGE, "COMMAND_TOO_LARGE", "the command is too large") from error
