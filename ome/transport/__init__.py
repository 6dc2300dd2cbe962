"""The only ZeroMQ sockets: how they are made, with which options and why, and a thin face that raises no ZeroMQ exception."""

from __future__ import annotations

from ome.transport.context import Context, Heartbeat, LibraryError, library_path, library_version
from ome.transport.endpoints import why_no_connection
from ome.transport.sockets import ClientSocket, EndpointError, RouterSocket, SendStatus, Socket, SocketClosedError, SubscriberSocket

__all__ = [
    "ClientSocket",
    "Context",
    "EndpointError",
    "Heartbeat",
    "LibraryError",
    "RouterSocket",
    "SendStatus",
    "Socket",
    "SocketClosedError",
    "SubscriberSocket",
    "library_path",
    "library_version",
    "why_no_connection",
]
