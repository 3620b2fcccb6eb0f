"""`chapar feedback`: invites a customer to a survey by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.commands.options import Json
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json
from services.cli.reasons import Reason

app = typer.Typer(no_args_is_help=True, help="Surveys.")


@app.callback()
def group() -> None:
    """Surveys."""


@app.command("invite")
def invite(
    interaction_id: str,
    survey: Annotated[
        str, typer.Option("--survey", help="The survey's name; empty means the first that applies.")
    ] = "",
    language: Annotated[str, typer.Option("--language", help="fa, en …; empty means the tenant's.")] = "",
    as_json: Json = False,
) -> None:
    """Invite the customer of a completed interaction now. Sampling is skipped; the minimum gap, the window and quiet hours still apply."""

    async def work() -> str:
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.GetInteractionRequest(interaction_id=interaction_id)
            found = (await ingest_pb2_grpc.IngestServiceStub(channel).GetInteraction(request)).interaction
            asked = ingest_pb2.GetPersonRequest(person_id=found.person_id)
            person = await ingest_pb2_grpc.PersonServiceStub(channel).GetPerson(asked)
        about = subject(found, person, language)
        async with channel_to(Workspace.here(), "feedback") as channel:
            # A repeated call gives the same invitation, so the key has no random part.
            key = f"cli/{interaction_id}/{survey}"
            invitation = feedback_pb2.InviteRequest(idempotency_key=key, subject=about, survey=survey)
            answer = await feedback_pb2_grpc.FeedbackServiceStub(channel).Invite(invitation)
            return str(answer.invitation_id)

    invitation_id = execute(work)
    if as_json:
        emit_json({"invitation_id": invitation_id})
    elif invitation_id:
        console.print(
            f"requested: invitation {invitation_id}. `chapar interactions show {interaction_id}` shows whether it is sent."
        )
    else:
        console.print("no survey applies to this interaction: name one with --survey", style="yellow")


def subject(
    interaction: ingest_pb2.InteractionView, person: ingest_pb2.GetPersonResponse, language: str
) -> feedback_pb2.Subject:
    """Return the subject of the invitation: the person's identity on the interaction's channel. Raises FAILED_PRECONDITION if there is none."""
    if interaction.state != "completed":
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NOT_COMPLETED,
            f"the interaction is {interaction.state}, not completed",
        )
    identity = next((each for each in person.identities if each.channel == interaction.channel), None)
    if identity is None:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION, Reason.NO_IDENTITY, f"the person has no identity on {interaction.channel}"
        )
    return feedback_pb2.Subject(
        interaction_id=interaction.interaction_id,
        conversation_id=interaction.conversation_id,
        person_id=interaction.person_id,
        identity_id=identity.identity_id,
        channel=interaction.channel,
        queue=interaction.queue,
        agent_id=interaction.agent_id,
        agent_ids=[interaction.agent_id] if interaction.agent_id else [],
        language=language,
    )
