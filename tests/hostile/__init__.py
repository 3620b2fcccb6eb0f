"""Hostile input of every kind: texts by size, for the property that all work is linear and for the fuzzers; and attacks on running
listeners over real sockets, scaled by their arguments, each of which returns a `Measurement`.

The same code runs small in the tests and large in a bench. `source` is the address that an attack comes from: on loopback every
127.x.y.z is a peer of its own.
"""
