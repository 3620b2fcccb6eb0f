"""Replaying a shard, without Kafka."""
