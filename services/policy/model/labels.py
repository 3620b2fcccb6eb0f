"""Labels of a conversation that are written unencrypted without a tenant's declaration (`routing_labels`)."""

from typing import Final

OWN_LABELS: Final = frozenset(
    {
        *("tier", "public", "spam", "callback", "reachability", "shared_own_contact"),
        *("unparsed", "raw_cut", "parts_cut", "ambiguous_from"),
        *("recovery", "about", "invitation", "score"),
    }
)
"""Labels with a meaning in Chapar; their values are words, numbers and ids."""
