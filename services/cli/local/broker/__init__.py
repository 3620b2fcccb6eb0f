"""The embedded broker: a real single-node Apache Kafka without Docker, one for each working copy. See deploy/kafka/README.md."""
