"""The what-if simulator."""
