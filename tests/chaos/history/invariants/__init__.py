"""The invariants, one module each. `check(history)` yields the violations."""
