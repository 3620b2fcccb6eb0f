"""The command groups of `chapar`, one per file."""
