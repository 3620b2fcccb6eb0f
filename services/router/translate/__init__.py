"""Protobuf and bytes to the domain's values and back. Nothing here decides."""
