"""HTTP servers: one way to start one, with limits on everything that a client controls."""

from services.chassis.http.late_timeout import LateTimeout
from services.chassis.http.limits import HttpLimits
from services.chassis.http.proxies import TrustedProxies, networks_of, peer_key
from services.chassis.http.server import address_of, bind, bind_error, http_server

__all__ = [
    "HttpLimits",
    "LateTimeout",
    "TrustedProxies",
    "address_of",
    "bind",
    "bind_error",
    "http_server",
    "networks_of",
    "peer_key",
]
