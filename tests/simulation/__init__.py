"""Deterministic simulation: all deciding parts of the four services in one process, on a simulated log, with faults from a seed.

    report = run(seed, machinery)     # `simulation`: one run from the first message to the last invariant
    report.violations                 # empty, or what went wrong (`invariants`)
    report.reached                    # how often each rare path was taken (`rare_paths`)
    report.digest                     # of every record that was written: the same for the same seed

docs/fault-simulation.md explains how to read a failing seed.
"""
