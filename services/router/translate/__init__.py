"""Convert protobuf and bytes to the domain's values and back. Nothing in this package decides."""
