"""Conversion between protobuf or stored bytes and the domain."""
