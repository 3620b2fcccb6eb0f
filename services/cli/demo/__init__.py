"""The demo: real messages through the real edges, agents on real sessions, and an audit that compares the topics with what was sent."""
