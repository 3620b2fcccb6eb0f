"""Adapters for Kafka and gRPC, one file each."""
