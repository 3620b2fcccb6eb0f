"""Checks of a whole configuration. `checks` has their order."""
