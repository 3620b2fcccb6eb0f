"""A checker of what happened: from what clients saw and what the topics hold to the violations of invariants I1 to I11.

It is a pure function, `check.violations(history)`, and knows the product only by its contracts (`protos/`) and its
documents: it imports nothing from `services`, so it cannot repeat a mistake of the code that it judges. For example,
an agent's desk received the confirmation that the reply `#r1-7` is recorded; the checker looks for it at the customer, and reports
`I1 reply #r1-7: lost` when it is neither there nor recorded as failed or of unknown outcome.

Each invariant is a module of `invariants`, and its docstring is the specification. `tests/unit/chaos` damages a sound
history in each way that a fault could, and expects the invariant that forbids it.
"""
