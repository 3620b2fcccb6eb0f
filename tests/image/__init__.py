"""Builds the container image with a Docker engine of its own, and runs it: `make image-check` (docs/operating.md)."""
