"""The routing engine of one pool: pure, deterministic, and without a clock.

`Engine.handle(command, now) -> effects`, `Engine.advance(now) -> effects`, `Engine.next_wakeup()`. Rules that hold at every moment:

1. An interaction is held by one agent at most, or is offered, or waits; never two of these.
2. What an agent holds, is offered, or wraps up never exceeds the agent's capacity (except what they took before a configuration shrank it).
3. No interaction waits while an agent who may take it is available and has room, unless it is reserved for its person's last agent for a
   stated time.
4. Interactions are served by priority (ageing included), then by age. An interaction that returns to the queue keeps its age.
5. Nothing depends on the order of a dict or on hashes: after a restore the same commands give the same effects.
"""
