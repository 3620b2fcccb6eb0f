"""An agent's desk in a terminal: shows what happens, and does what the agent types."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

import grpc

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.ingest.v1 import records_pb2 as ingest_pb2_records
from chapar.router.v1 import records_pb2, router_pb2
from services.chassis.ids import random_id
from services.cli.desk import Connection, Desk
from services.cli.desk_help import HELP
from services.cli.folding import folded
from services.cli.message_files import DeskFiles
from services.cli.message_lines import MessageLines
from services.cli.offer_words import offer_words
from services.cli.output import console
from services.cli.reply_recipients import WORDS, ReplyRecipients
from services.cli.template_words import OUTSIDE_WINDOW, template_choice, template_lines
from services.cli.typed_line import typed_lines
from services.cli.upload import read, uploaded

STATES: Final = {"away": records_pb2.AGENT_STATE_AWAY, "available": records_pb2.AGENT_STATE_AVAILABLE}


class TerminalDesk:
    """Shows the session's events and executes the commands typed. Interactions are numbered in order of arrival."""

    def __init__(
        self,
        desk: Desk,
        ingest: ingest_pb2_grpc.IngestServiceAsyncStub,
        outbound: ingest_pb2_grpc.OutboundServiceAsyncStub,
        auto: str,
    ) -> None:
        self._desk = desk
        self._ingest = ingest
        self._outbound = outbound
        self._lost: dict[int, str] = {}
        """The newest delivery of each interaction that did not arrive, or may not have arrived."""
        self._auto = auto
        self._numbers: dict[str, int] = {}
        self._held: dict[int, records_pb2.InteractionAttributes] = {}
        self._offers: dict[int, str] = {}
        self._parked: set[str] = set()
        self._tasks = asyncio.TaskGroup()
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._whole: dict[int, str] = {}
        self._recipients = ReplyRecipients()
        self._files = DeskFiles(ingest)

    async def run(self, agent_id: str) -> None:
        """Run until `q`, the end of input, or the end of the session."""
        await self._desk.welcomed()
        console.print(f"[bold green]{agent_id} is signed in.[/]", highlight=False)
        _show_help()
        async with self._tasks:
            events = self._tasks.create_task(self._events())
            if self._auto:
                await events
                return
            async with typed_lines(console, sys.stdin.fileno()) as lines:
                async for line in lines:
                    if line.strip() in {"q", "quit"}:
                        break
                    if line.strip() and not self._desk.connected:
                        console.print("not connected: this is done when the connection is back", style="yellow")
                    with contextlib.suppress(KeyError):
                        await self._do(line.strip())
            events.cancel()
            for task in self._watching.values():
                task.cancel()

    async def _events(self) -> None:
        async with contextlib.aclosing(self._desk.events()) as events:
            async for event in events:
                await self._happened(event)

    async def _happened(self, event: router_pb2.SessionResponse) -> None:
        match event.WhichOneof("response"):
            case "welcome":
                for offer in event.welcome.snapshot.offers:
                    await self._offered(offer)
                for assignment in event.welcome.snapshot.assignments:
                    await self._assigned(assignment.interaction)
                    self._parked_or_not(assignment)
            case "offered":
                await self._offered(event.offered)
            case "revoked":
                which = "".join(f"[{n}] " for n, o in self._offers.items() if o == event.revoked.offer_id)
                self._offers = {n: o for n, o in self._offers.items() if o != event.revoked.offer_id}
                console.print(f"{which}offer withdrawn: {event.revoked.reason}", style="yellow", markup=False)
            case "assigned":
                await self._assigned(event.assigned.interaction)
                self._parked_or_not(event.assigned)
            case "ended":
                self._ended(event.ended)
            case "state_changed" if event.state_changed.before != event.state_changed.after:
                state = state_word(event.state_changed.after)
                more = ": you get no offers until you type `available`" if state == "not_responding" else ""
                console.print(f"you are {state}{more}", style="yellow", markup=False)
            case "customer_acted" if event.customer_acted.left:
                console.print(
                    f"[{self._number(event.customer_acted.interaction_id)}] the customer has left", markup=False
                )
            case "customer_acted" if event.customer_acted.automatic:
                number = self._number(event.customer_acted.interaction_id)
                kind = types_pb2.AutomaticKind.Name(event.customer_acted.automatic)
                words = kind.removeprefix("AUTOMATIC_KIND_").lower().replace("_", " ")
                console.print(f"[{number}] the next message is automatic: {words}", style="yellow", markup=False)
            case "reply_outcome":
                self._outcome(event.reply_outcome)
            case _:
                return

    def _outcome(self, outcome: records_pb2.ReplyOutcome) -> None:
        """Show a reply that did not arrive, or may not have arrived."""
        number = self._number(outcome.interaction_id)
        match outcome.state:
            case records_pb2.REPLY_STATE_FAILED:
                again = "; the same text may be accepted later" if outcome.retryable else ""
                words = f"your reply did not arrive: {outcome.failure}{again}"
                if outcome.failure == OUTSIDE_WINDOW:
                    words += ". The provider takes no free text now: m lists templates that you can send, or wait for the customer"
            case records_pb2.REPLY_STATE_UNKNOWN:
                words = f"your reply may not have arrived: {outcome.failure}; it is not sent again automatically"
            case _:
                self._lost.pop(number, None)
                if outcome.failure:
                    console.print(f"[{number}] a template was sent in place of your text", style="yellow", markup=False)
                return
        self._lost[number] = outcome.delivery_id
        console.print(f"[{number}] {words} (delivery {outcome.delivery_id})", style="red", markup=False)

    async def _again(self, number: int) -> None:
        """Send a reply again that did not arrive."""
        lost = self._lost.get(number, "")
        if not lost:
            _show_help()
            return
        request = ingest_pb2.ResendRequest(idempotency_key=f"resend/{lost}", delivery_id=lost)
        try:
            again = await self._outbound.Resend(request)
        except grpc.aio.AioRpcError as error:
            console.print(f"[{number}] refused: {error.details()}", markup=False, style="red")
        else:
            console.print(f"[{number}] sent again as delivery {again.delivery_id}", markup=False)

    async def _templates(self, number: int) -> None:
        """Show the approved templates of the interaction's account."""
        about = self._held[number]
        request = ingest_pb2.ListTemplatesRequest(channel=about.channel, account=about.account)
        try:
            found = await self._outbound.ListTemplates(request)
        except grpc.aio.AioRpcError as error:
            console.print(f"[{number}] refused: {error.details()}", markup=False, style="red")
            return
        for line in template_lines(found.templates):
            console.print(f"[{number}] {line}", markup=False, highlight=False)

    def _number(self, interaction_id: str) -> int:
        return self._numbers.setdefault(interaction_id, len(self._numbers) + 1)

    async def _offered(self, offer: records_pb2.OfferView) -> None:
        attributes = offer.interaction
        number = self._number(attributes.interaction_id)
        self._offers[number] = offer.offer_id
        console.print(
            f"[{number}] offer: {attributes.channel}, queue {attributes.queue}, because {offer.reason}. Enter accepts, d declines",
            markup=False,
            style="bold",
        )
        if self._auto:
            await self._desk.accept(offer.offer_id)
        else:
            self._tasks.create_task(self._describe(number, offer))

    async def _describe(self, number: int, offer: records_pb2.OfferView) -> None:
        """Show who wrote and what, if the offer is still open when history answers."""
        about = offer.interaction
        words = await offer_words(self._ingest, about.conversation_id, about.interaction_id)
        if words and self._offers.get(number) == offer.offer_id:
            console.print(f"[{number}] {words}", markup=False, highlight=False)

    async def _assigned(self, attributes: records_pb2.InteractionAttributes) -> None:
        number = self._number(attributes.interaction_id)
        self._offers.pop(number, None)
        if number in self._held:
            return
        self._held[number] = attributes
        console.print(f"[{number}] yours: {attributes.interaction_id}", markup=False, style="green")
        watch = self._tasks.create_task(self._conversation(number, attributes))
        self._watching[attributes.interaction_id] = watch
        if self._auto:
            await self._desk.reply(attributes.interaction_id, self._auto)
            await self._desk.complete(attributes.interaction_id, "solved")

    def _parked_or_not(self, view: records_pb2.AssignmentView) -> None:
        interaction_id = view.interaction.interaction_id
        if view.parked != (interaction_id in self._parked):
            self._parked ^= {interaction_id}
            how = "parked: a more urgent interaction arrives" if view.parked else "continues"
            console.print(f"[{self._number(interaction_id)}] {how}", style="yellow", markup=False)

    def _ended(self, ended: records_pb2.AssignmentEnded) -> None:
        number = self._number(ended.interaction_id)
        self._parked.discard(ended.interaction_id)
        self._whole.pop(number, None)
        self._files.forget(number)
        if self._held.pop(number, None) is not None:
            console.print(f"[{number}] done: {ended.reason}", markup=False, style="green")
        if (watch := self._watching.pop(ended.interaction_id, None)) is not None:
            watch.cancel()

    async def _conversation(self, number: int, attributes: records_pb2.InteractionAttributes) -> None:
        """Show the conversation so far and its new messages; reconnect when the connection breaks."""
        after, unreadable, lines = -1, False, MessageLines()
        shown: dict[str, str] = {}
        while True:
            request = ingest_pb2.WatchConversationRequest(
                conversation_id=attributes.conversation_id, after_sequence=after, delivery_changes=True
            )
            try:
                async for answer in self._ingest.WatchConversation(request):
                    # A message whose delivery or files have changed comes again.
                    after, unreadable = max(after, answer.message.sequence), False
                    said = answer.message.message
                    _, note = folded(said)
                    lost = (
                        " (did not arrive)" if said.delivery_state == ingest_pb2_records.DELIVERY_STATE_FAILED else ""
                    )
                    line = f"{lines.line(said)}{lost}"
                    if shown.get(said.message_id) == line:
                        continue
                    shown[said.message_id] = line
                    console.print(f"[{number}] {line}", markup=False, highlight=False)
                    if said.author_kind == types_pb2.ACTOR_KIND_CUSTOMER:
                        self._whole[number] = said.text
                    if sent_to := self._recipients.saw(number, said):
                        console.print(f"[{number}] {sent_to}", markup=False, style="dim")
                    if self._files.seen(number, attributes.conversation_id, said):
                        console.print(f"[{number}] l shows links to the files", markup=False, style="dim")
                    if note:
                        console.print(f"[{number}] folded: {note}; f shows all", markup=False, style="dim")
            except grpc.aio.AioRpcError as error:
                if not unreadable and error.code() is grpc.StatusCode.UNAVAILABLE:
                    unreadable = True
                    text = f"[{number}] new messages can't be shown: no connection to ingest; trying again until it is back"
                    console.print(text, markup=False, style="red")
            await asyncio.sleep(0.5)

    async def _do(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command in STATES:
            await self._desk.set_state(STATES[command], rest)
            return
        if command == "p" and rest:
            picked = await self._desk.pick(rest)
            if not picked.ok:
                console.print(f"refused: {picked.reason} {picked.message}", markup=False, style="red")
            return
        # Persian keyboards write ۲; isdigit() would also accept ², which is not a decimal digit.
        digits = "".join(c for c in command if c.isdecimal())
        word = "".join(c for c in command if not c.isdecimal())
        if word in {"", "d"}:
            number = int(digits) if digits else min(self._offers, default=0)
            if number not in self._offers:
                _show_help()
            elif word == "d":
                await self._desk.decline(self._offers.pop(number), rest)
            else:
                await self._desk.accept(self._offers[number])
            return
        if word == "a":
            await self._again(int(digits) if digits else max(self._lost, default=0))
            return
        number = int(digits) if digits else min(self._held, default=0)
        if number not in self._held or word not in {"r", "u", "c", "t", "w", "b", "f", "l", "m", *WORDS}:
            _show_help()
            return
        if word in WORDS:
            console.print(f"[{number}] {self._recipients.choose(number, word, rest)}", markup=False, highlight=False)
            return
        if word in {"f", "l", "u"}:
            await self._show(number, word, rest)
            return
        if word == "m" and not rest:
            await self._templates(number)
            return
        result = await self._carry_out(word, number, rest)
        if result.ok and word == "w":
            console.print(f"[{number}] offered to {rest}: you hold it until another agent accepts", markup=False)
        if not result.ok:
            console.print(f"[{number}] refused: {result.reason} {result.message}", markup=False, style="red")

    async def _carry_out(self, word: str, number: int, rest: str) -> router_pb2.RequestResult:
        """Carry out a command on an interaction that the agent holds, by its number at the desk."""
        interaction_id = self._held[number].interaction_id
        match word:
            case "r":
                return await self._desk.reply(interaction_id, rest, *self._recipients.take(number))
            case "m":
                return await self._desk.reply_by_template(interaction_id, template_choice(rest))
            case "c":
                return await self._desk.complete(interaction_id, rest or "solved")
            case "b":
                return await self._desk.recall(interaction_id)
            case _:
                return await self._desk.transfer(interaction_id, queue=rest, warm=word == "w")

    async def _send_file(self, number: int, path: str) -> None:
        """Send a file of this machine to the customer."""
        interaction_id = self._held[number].interaction_id
        try:
            name, content = await read(path)
            file = await uploaded(self._outbound, interaction_id, name, content, random_id())
        except OSError as error:
            console.print(f"[{number}] {path} can't be read: {error.strerror}", markup=False, style="red")
            return
        except grpc.aio.AioRpcError as error:
            console.print(f"[{number}] refused: {error.details()}", markup=False, style="red")
            return
        result = await self._desk.reply(interaction_id, "", *self._recipients.take(number), files=[file])
        words = f"{name} is sent" if result.ok else f"refused: {result.reason} {result.message}"
        console.print(f"[{number}] {words}", markup=False)

    async def _show(self, number: int, word: str, path: str) -> None:
        """Show the last message unfolded, or links to the newest files; or send a file."""
        if word == "u":
            await self._send_file(number, path)
            return
        for each in [self._whole.get(number, "")] if word == "f" else await self._files.lines(number):
            console.print(each, markup=False, highlight=False, soft_wrap=True)


def show_connection(connection: Connection) -> None:
    """Print that the connection is lost, or back."""
    if connection.up:
        console.print("connected again", style="green")
    else:
        text = (
            f"no connection to the router at {connection.target} ({connection.reason}); trying again until it is back"
        )
        console.print(text, style="red", markup=False)


def state_word(state: int) -> str:
    """Return the word for an agent's state."""
    return records_pb2.AgentState.Name(state).removeprefix("AGENT_STATE_").lower()  # type: ignore[arg-type]  # an int is a value


def _show_help() -> None:
    console.print(HELP, style="dim", markup=False, highlight=False)
