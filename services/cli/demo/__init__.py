"""The demonstration: real inputs through the real edges, agents on real sessions, and an audit of the topics against what was sent."""
