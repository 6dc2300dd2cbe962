"""Network code: the client's ZeroMQ sockets, which raise no ZeroMQ exception, and the server's listeners."""

from __future__ import annotations

from ome.transport.context import Context, LibraryError, library_path, library_version
from ome.transport.curve import ServerCurve
from ome.transport.endpoints import why_no_connection
from ome.transport.listener import Listener, ListenerUse, QueueLimits
from ome.transport.sockets import ClientSocket, EndpointError, SendStatus, Socket, SocketClosedError, SubscriberSocket

__all__ = [
    "ClientSocket",
    "Context",
    "EndpointError",
    "LibraryError",
    "Listener",
    "ListenerUse",
    "QueueLimits",
    "SendStatus",
    "ServerCurve",
    "Socket",
    "SocketClosedError",
    "SubscriberSocket",
    "library_path",
    "library_version",
    "why_no_connection",
]
