"""Kafka mechanics: exactly-once lanes, and the plain producer, consumer and reader for everything that is not a lane.

Import from the module that owns the thing: `lane` (contract and `LaneRunner`), `records`, `producer`, `consumer`, `tail`, `groups`.
"""
