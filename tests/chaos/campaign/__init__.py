"""The chaos campaign: traffic over every edge while faults are injected, and a checker that reads what became of it.

`python -m tests.chaos.campaign` (or `make chaos`) runs the whole product as processes for each fault of `faults.FAULTS`, lets
customers write on every channel and agents answer, injects the fault, waits until all is drained, and gives what clients
saw and what the topics hold to `tests.chaos.history`. Everything runs in directories and topics of its own.
"""
