"""The offers that the agents of a bench have, as their desks see them."""

import asyncio
from collections.abc import Sequence

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from tests.bench.rounds import LATE_S, RoundIncomplete


class OpenOffers:
    """Keeps the open offers of each agent. An agent's new session begins with a snapshot, which replaces everything:
    revocations while the session was lost are not sent again."""

    def __init__(self) -> None:
        self._open: dict[str, set[str]] = {}
        self._sessions: dict[str, int] = {}
        self._interactions: set[str] = set()
        self._fewer = asyncio.Event()

    @property
    def reconnects(self) -> int:
        """The number of times that an agent's session ended and the desk opened another one."""
        return sum(sessions - 1 for sessions in self._sessions.values())

    def handle(self, agent: str, event: api.SessionResponse) -> Sequence[pb.OfferView]:
        """Take one event of the agent's session; return the offers that it shows."""
        offers = self._open.setdefault(agent, set())
        views: Sequence[pb.OfferView] = ()
        match event.WhichOneof("response"):
            case "welcome":
                self._sessions[agent] = self._sessions.get(agent, 0) + 1
                offers.clear()
                views = event.welcome.snapshot.offers
            case "offered":
                views = [event.offered]
            case "revoked":
                offers.discard(event.revoked.offer_id)
        offers.update(view.offer_id for view in views)
        self._interactions.update(view.interaction.interaction_id for view in views)
        self._fewer.set()
        return views

    def take_interactions(self) -> set[str]:
        """Return all interactions that were offered since the last call, whether their offers are open or not."""
        interactions, self._interactions = self._interactions, set()
        return interactions

    async def none_left(self, within_s: float = LATE_S) -> None:
        """Wait until no agent has an offer. Raises RoundIncomplete."""
        try:
            async with asyncio.timeout(within_s):
                while any(self._open.values()):
                    self._fewer.clear()
                    await self._fewer.wait()
        except TimeoutError as error:
            left = sum(map(len, self._open.values()))
            raise RoundIncomplete(f"{left} offers are open {within_s:.0f} s after their cancellation") from error
