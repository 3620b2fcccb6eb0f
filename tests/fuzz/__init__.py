"""Fuzzing of every parser in `tests/hostile/registry.py`: `make fuzz SECONDS=60`, and a few seconds of each in CI."""
