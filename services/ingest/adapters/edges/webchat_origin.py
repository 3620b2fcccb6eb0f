"""Which pages may use a web chat."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from services.ingest.ports import Account


def origins_of(account: Account, everywhere: tuple[str, ...]) -> tuple[str, ...]:
    """Return the origins that may use this account. `everywhere`: those of the settings."""
    return (*everywhere, *account.settings.get("origins", "").replace(",", " ").split())


def origin_allowed(headers: Mapping[str, str], allowed: tuple[str, ...]) -> bool:
    """Return whether the page has this host, or a listed origin. A client that is not a browser sends no Origin."""
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin.rstrip("/") in {each.rstrip("/") for each in allowed}:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False
