"""HTTP servers: one way to start one, with limits on everything that a client controls."""

from services.chassis.http.limits import HttpLimits
from services.chassis.http.proxies import TrustedProxies, networks_of, peer_key
from services.chassis.http.server import address_of, bind, bind_error, http_server

__all__ = [
    "HttpLimits",
    "TrustedProxies",
    "address_of",
    "bind",
    "bind_error",
    "http_server",
    "networks_of",
    "peer_key",
]
