"""What an invitation by hand is about, checked with ingest: a caller names four ids, which must be their tenant's and belong together."""

import grpc

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import chapar_errors, for_tenant


class GrpcSubjects:
    """Implements `ports.Subjects`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._interactions = ingest_pb2_grpc.IngestServiceStub(channel)
        self._people = ingest_pb2_grpc.PersonServiceStub(channel)

    async def check(self, tenant: str, about: pb.Subject) -> None:
        """See `ports.Subjects`. UNAVAILABLE while ingest can't be asked."""
        metadata = for_tenant(tenant)
        asked = ingest_pb2.GetInteractionRequest(interaction_id=about.interaction_id)
        with chapar_errors():
            found = await self._interactions.GetInteraction(asked, metadata=metadata)
            person = await self._people.GetPerson(
                ingest_pb2.GetPersonRequest(person_id=about.person_id), metadata=metadata
            )
        known = found.interaction
        identities = {identity.identity_id for identity in person.identities}
        if (known.conversation_id, known.person_id) != (about.conversation_id, about.person_id) or (
            about.identity_id not in identities
        ):
            raise ChaparError(
                ErrorKind.NOT_FOUND,
                "SUBJECT_UNKNOWN",
                "the subject's interaction, conversation, person and identity do not belong together",
            )
