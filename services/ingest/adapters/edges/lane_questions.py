"""Questions to the intake lane, such as whether an identity is known, owns a conversation, or belongs to our tenant."""

from collections.abc import Mapping
from typing import Final

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ErrorKind
from services.chassis.questions import LaneQuestions
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Publisher

TOPIC: Final = "ingest.verdicts.v1"
KINDS: Final[Mapping[str, ErrorKind]] = {
    Reason.UNKNOWN_IDENTITY: ErrorKind.NOT_FOUND,
    Reason.UNKNOWN_HOME: ErrorKind.NOT_FOUND,
    Reason.UNKNOWN_CONVERSATION: ErrorKind.NOT_FOUND,
    Reason.UNKNOWN_PERSON: ErrorKind.NOT_FOUND,
    Reason.UNKNOWN_TENANT: ErrorKind.NOT_FOUND,
    Reason.NO_ROUTE: ErrorKind.FAILED_PRECONDITION,
    Reason.OPTED_OUT: ErrorKind.FAILED_PRECONDITION,
    Reason.UNKNOWN_TEMPLATE: ErrorKind.INVALID,
    Reason.TEMPLATE_PARAMETERS: ErrorKind.INVALID,
    Reason.TOO_MANY_FOLLOW_UPS: ErrorKind.EXHAUSTED,
    Reason.TOO_MANY_BLOCKED: ErrorKind.EXHAUSTED,
    Reason.TOO_MANY_LINKED: ErrorKind.FAILED_PRECONDITION,
}
"""Maps the intake lane's refusals to error kinds."""


class IntakeQuestions:
    """Implements `ports.Questions`."""

    def __init__(self, publisher: Publisher, questions: LaneQuestions) -> None:
        self._publisher = publisher
        self._questions = questions

    async def ask(self, identity_id: str, record: records_pb2.InboundRecord) -> None:
        """See `ports.Questions`."""

        async def publish(question_id: str) -> None:
            record.question_id = question_id
            await self._publisher.publish([(identity_id, record)])

        await self._questions.ask(record.tenant, publish)
