"""Kafka and gRPC, one file each."""
