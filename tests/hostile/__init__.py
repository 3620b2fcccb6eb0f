"""Hostile input of every kind, by size: for the property that all work is linear, for the fuzzers, and for the benches."""
