"""Kafka mechanics: exactly-once lanes, and the plain producer, consumer and reader for all other uses.

Import a name from the module that defines it: `lane` (contract and `LaneRunner`), `records`, `producer`, `consumer`, `tail`, `groups`.
"""
