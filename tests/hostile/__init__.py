"""Hostile input of every kind.

- Texts by size: for the tests that all work is linear in its input, and for the fuzzers.
- Attacks on running listeners over real sockets, scaled by their arguments. Each returns a `Measurement`.

The same code runs at a small scale in the tests and at a large scale in a bench. `source` is the address of the attacker: on
loopback, every 127.x.y.z is a separate peer.
"""
