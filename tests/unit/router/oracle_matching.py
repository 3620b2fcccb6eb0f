"""Batches of `skill_score` queues in the naive engine: every possible assignment is compared. See `oracle`."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from services.policy.model.routing import Choice, Operator, Selector
from tests.unit.router import oracle_rules as rules
from tests.unit.router.oracle_state import Job, Person

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle

Given = tuple[int, tuple[Any, ...], tuple[str, ...]]
"""Minus the total score; the preference of each for its agent, in order; the agent of each."""


def window_end(o: "Oracle", job: Job) -> int:
    """Return the end of the match window in which it entered its queue; 0 without a window."""
    window = o.queue(job).match_window_ms
    return 0 if job.by_name or not window else job.entered - job.entered % window + window


def score(o: "Oracle", job: Job, person: Person) -> int:
    """Return the skill score in billionths; a team that is asked alone counts like any label."""
    asked = rules.asked(o.queue(job), job.attributes, job.clock(o.now))
    if job.team_until:
        asked.append(Selector("team", Operator.EQUAL, text=job.team))
    return round(rules.score(asked, rules.abilities(person.profile)) * 1_000_000_000)


def matchable(o: "Oracle", job: Job) -> bool:
    """Whether it is matched with others."""
    queue = o.queue(job)
    return queue.choice is Choice.SKILL_SCORE and not (queue.keep_free or queue.prefer_rings or job.kept_for)


def batch(o: "Oracle", jobs: Sequence[Job]) -> list[Job]:
    """Return the batch among interactions that an agent could take, in order.

    It is the first interaction, and those after it that can be matched with it as long as all can be served. One that can no longer be served
    is left out, unless an agent could park something for it.
    """
    found: list[Job] = []
    for job in jobs:
        alike = not found or (job.attributes.channel, len(job.offers)) == (
            found[0].attributes.channel,
            len(found[0].offers),
        )
        if not matchable(o, job) or not alike or all(o.to_park(job, p) for p in o.takers(job)):
            break
        if best(o, [*found, job]):
            found.append(job)
        elif any(o.to_park(job, p) for p in o.takers(job)):
            break
    return found


def room(o: "Oracle", person: Person, channel: str) -> int:
    """Return how many more interactions of a channel the agent can be offered."""
    profile, ledger, count = o.profile(person), o.ledger(person), 0
    shown = sum(offer.agent_id == person.id for job in o.jobs.values() for offer in job.offers)
    credits = o.desks[person.session_id].credits or 1_000
    while shown + count < credits and not rules.misfit(profile, [*ledger, *[(channel, False)] * count], channel):
        count += 1
    return count


def best(o: "Oracle", jobs: Sequence[Job]) -> list[tuple[Job, Person]]:
    """Return the assignment with the largest total.

    Among equal totals the first interaction gets the agent it prefers, then the second; empty when not all can be served.
    """
    takers = [[p for p in o.takers(job) if not o.to_park(job, p)] for job in jobs]
    people = sorted({p.id for able in takers for p in able})
    rooms = [room(o, o.people[name], jobs[0].attributes.channel) for name in people]

    @cache
    def rest(number: int, counts: tuple[int, ...]) -> Given | None:
        if number == len(jobs):
            return 0, (), ()
        ways: list[Given] = []
        for person in takers[number]:
            at = people.index(person.id)
            if counts[at] == rooms[at]:
                continue
            after = rest(number + 1, (*counts[:at], counts[at] + 1, *counts[at + 1 :]))
            if after is not None:
                mine = score(o, jobs[number], person)
                busy, *idle = o.idleness(person)
                liking = (-mine, busy or counts[at] > 0, *idle, counts[at])
                ways.append((after[0] - mine, (liking, *after[1]), (person.id, *after[2])))
        return min(ways, default=None)

    found = rest(0, (0,) * len(people))
    return [] if found is None else [(job, o.people[name]) for job, name in zip(jobs, found[2], strict=True)]


def queues_of(o: "Oracle", person: Person) -> list[str]:
    """Return the queues that an agent serves, and whose own requirements they meet."""
    names = [name for name in person.profile.queues or tuple(o.config.by_name) if name in o.config.by_name]
    has = rules.abilities(person.profile)
    return [name for name in names if all(rules.meets(s, has) for s in o.config.by_name[name].requirements)]
