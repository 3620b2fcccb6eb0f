"""The limits of all HTTP servers of Chapar, in one place: a service can change a number, but cannot remove a limit."""

from dataclasses import dataclass, field

from services.chassis.connections import ConnectionLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of one server.

    `head_bytes`, `head_fields`, `url_bytes`: of one request, trailers included. `pipelined`: requests that wait behind another on one
    connection. `discard_bytes`: the number of bytes of a body that are read and discarded after its response, so that a client that is still
    sending gets to read the response. `frame_fragments`: parts of one WebSocket message. `unread_bytes`: sent data that a WebSocket client may
    leave unread.
    """

    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    head_bytes: int = 32 << 10
    head_fields: int = 100
    url_bytes: int = 8 << 10
    pipelined: int = 16
    discard_bytes: int = 32 << 20
    frame_fragments: int = 256
    unread_bytes: int = 1 << 20
