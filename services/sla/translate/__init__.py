"""Protobuf and stored bytes <-> domain."""
