"""Tests of the replay of a shard, without Kafka."""
