"""How an e-mail account proves the authors of its mails: the values of its settings."""

from typing import Final

NONE: Final = "none"
DKIM: Final = "dkim"
TRUSTED_RESULTS: Final = "trusted_results"
WAYS: Final = (NONE, DKIM, TRUSTED_RESULTS)
"""Values of `authentication`."""
HOPS: Final = frozenset("123456789")
"""Values of `trusted_hops`."""
ONE_HOP: Final = "1"
