"""Typed policy, without protobuf."""
