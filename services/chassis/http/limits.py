"""What every HTTP server of Chapar allows. The one place: a service changes numbers, never whether there is a limit."""

from dataclasses import dataclass, field

from services.chassis.connections import ConnectionLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Of one server.

    `head_bytes`, `head_fields`, `url_bytes`: of one request, trailers included. `pipelined`: requests that wait behind another on one
    connection. `discard_bytes`: how much of a body is read and thrown away after its answer, so that a client that still sends gets to
    read the answer. `frame_fragments`: parts of one WebSocket message. `unread_bytes`: answers that a WebSocket client may leave unread.
    """

    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    head_bytes: int = 32 << 10
    head_fields: int = 100
    url_bytes: int = 8 << 10
    pipelined: int = 16
    discard_bytes: int = 32 << 20
    frame_fragments: int = 256
    unread_bytes: int = 1 << 20
