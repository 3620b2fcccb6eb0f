"""Each alert is provoked, seen to fire and seen to resolve: `make alert-check` (docs/alerts.md)."""
