"""The embedded broker: a real single-node Apache Kafka without Docker, one per copy of the project. See deploy/kafka/README.md."""
