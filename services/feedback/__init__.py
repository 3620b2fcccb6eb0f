"""Asks customers how it was, counts each answer once, and says how sure the figures are."""
