"""The engine of one pool: pure, deterministic, and without a clock.

`Engine.handle(command, now) -> effects`, `Engine.advance(now) -> effects`, `Engine.next_wakeup()`. Rules that hold at every moment:

1. An interaction has at most one holder, or one offer, or waits; never two of these.
2. What an agent holds, is offered, or wraps up never exceeds his capacity (but for work taken before a configuration shrank it).
3. Nothing waits while an agent who may take it is available and has room, unless it is kept for its person's last agent for a stated time.
4. Work is served by priority (ageing included), then by age; what comes back keeps its age.
5. Nothing depends on the order of a dict or on hashes: after a restore the same commands give the same effects.
"""
