"""The ZeroMQ library and its context: where sockets come from. Each option is set here, once, with its reason.

Options that several kinds of socket share:

- A finite high-water mark: a queue without one grows until the machine is out of memory, and a finite one is faster.
- A bounded linger: the last frames get a chance to leave, and closing always comes to an end.

A client's sockets have no ZeroMQ heartbeats: together with a finite mark they let libzmq 4.3.5 abort the process when a connection is reset
whose frames are not read (zeromq/libzmq #4364, #3937, #4767). TCP finds a dead machine, and the protocol has heartbeats of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import zmq
import zmq.backend.cython._zmq as extension

from ome.errors import OmeError
from ome.transport.endpoints import needs_ipv6
from ome.transport.sockets import ClientSocket, ConnectingSocket, RouterSocket, Socket, SubscriberSocket, bind, connect

__all__ = ["Context", "Heartbeat", "LibraryError", "library_path", "library_version"]

_VERSION_MIN = (4, 3, 4)  # earlier ones have known crashes that a peer can cause
_HIGH_WATER_MARK_FRAMES = 10_000
_LINGER_MS = 1_000
_HANDSHAKE_MS = 5_000
_KEEPALIVE_IDLE_S = 10  # a dead machine shows after 10 s and 3 probes of 3 s each,
_KEEPALIVE_INTERVAL_S = 3
_KEEPALIVE_COUNT = 3
_UNACKNOWLEDGED_MS = 20_000  # or, where bytes are on their way to it, when it has not acknowledged them for so long
_SUBSCRIPTION_SIZE_MAX_BYTES = 1_024  # a subscription is 9 bytes; the handshake's own messages are counted too

_Connecting = TypeVar("_Connecting", bound=ConnectingSocket)


class LibraryError(OmeError):
    """The ZeroMQ library of this process is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A peer is asked for a sign of life every `interval_ms`, and its connection is cut when none came for `timeout_ms`."""

    interval_ms: int = 200
    timeout_ms: int = 600


SERVER_HEARTBEAT = Heartbeat()


def library_path() -> str:
    """The file of the extension module that holds libzmq's functions, for C that calls them on sockets made here."""
    path = extension.__file__
    assert path is not None, "an extension module is a file"
    return path


def library_version() -> tuple[int, int, int]:
    """Version of libzmq: major, minor, patch. Raises LibraryError when it is older than 4.3.4."""
    major, minor, patch = zmq.zmq_version_info()
    if (major, minor, patch) < _VERSION_MIN:
        raise LibraryError("version of libzmq", where=library_path(), found=zmq.zmq_version(), allowed="4.3.4 or later")
    return major, minor, patch


class _RawContext(zmq.Context[zmq.Socket[bytes]]):
    """Does not end itself when it is garbage: in a cycle it would wait for ever for sockets that are garbage too. Context ends it."""

    def __del__(self) -> None:
        pass


class Context:
    """Owns one I/O thread and the sockets made with it. May be shared between threads; the sockets may not.

    `bind_router` and `bind_publisher` make the server's sockets, `connect_client` and `connect_subscriber` the client's. All raise
    EndpointError where an endpoint is not one, or cannot be had. A bound socket's `endpoint` is the address that it got: port 0 and `*` are
    allowed.

    Raises LibraryError as `library_version`.
    """

    def __init__(self) -> None:
        library_version()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._raw = _RawContext(io_threads=1)

    def bind_router(
        self,
        endpoint: str,
        *,
        frame_size_max_bytes: int,
        heartbeat: Heartbeat = SERVER_HEARTBEAT,
        high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES,
    ) -> RouterSocket:
        """The gateway's socket. A frame longer than `frame_size_max_bytes` cuts its sender's connection.

        Routing ids are the automatic ones: with ids chosen by clients, one client can take another's place.
        """
        raw = self._make_server(zmq.ROUTER, heartbeat, high_water_mark_frames)
        raw.setsockopt(zmq.ROUTER_MANDATORY, 1)  # else what cannot be delivered is dropped silently
        raw.setsockopt(zmq.MAXMSGSIZE, frame_size_max_bytes)  # else a client makes us allocate at will
        raw.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)  # connections that say nothing do not hold a file descriptor for ever
        return RouterSocket(raw, bind(raw, endpoint))

    def bind_publisher(
        self, endpoint: str, *, heartbeat: Heartbeat = SERVER_HEARTBEAT, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES
    ) -> Socket:
        """The feed's socket. A subscriber that is `high_water_mark_frames` behind loses frames, sees the gap and asks again."""
        raw = self._make_server(zmq.XPUB, heartbeat, high_water_mark_frames)
        raw.setsockopt(zmq.XPUB_VERBOSE, 1)  # a topic's second subscriber is seen as well: it needs a snapshot too
        raw.setsockopt(zmq.MAXMSGSIZE, _SUBSCRIPTION_SIZE_MAX_BYTES)
        raw.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        return Socket(raw, bind(raw, endpoint))

    def connect_client(self, endpoint: str, *, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES) -> ClientSocket:
        """A client's order entry socket. It connects in the background, and says when it lost its connection."""
        raw = self._make_client(zmq.DEALER, endpoint, high_water_mark_frames)
        return self._connect(raw, ClientSocket(raw, endpoint))

    def connect_subscriber(self, endpoint: str, *, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES) -> SubscriberSocket:
        """A client's market data socket. It connects again by itself, repeats its subscriptions, and says that it did."""
        raw = self._make_client(zmq.SUB, endpoint, high_water_mark_frames)
        raw.setsockopt(zmq.SNDHWM, 0)  # what a SUB sends are its subscriptions: beyond a mark they are dropped, without an error
        return self._connect(raw, SubscriberSocket(raw, endpoint))

    def close(self) -> None:
        """Closes what sockets are left and waits, for no longer than their linger, until all is sent. No thread may be inside a socket."""
        self._raw.destroy()

    def __del__(self) -> None:
        """Of a context that nobody closed: drops what was not sent."""
        for socket in getattr(self, "_sockets", ()):
            socket.close(0)
        if hasattr(self, "_raw"):
            self._raw.term()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _make_client(self, kind: int, endpoint: str, high_water_mark_frames: int) -> zmq.Socket[bytes]:
        is_ipv6 = needs_ipv6(endpoint)  # raises before there is a socket
        raw = self._make(kind, high_water_mark_frames)
        raw.setsockopt(zmq.IPV6, int(is_ipv6))
        raw.setsockopt(zmq.TCP_KEEPALIVE, 1)
        raw.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        raw.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTERVAL_S)
        raw.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)
        raw.setsockopt(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)
        return raw

    def _connect(self, raw: zmq.Socket[bytes], socket: _Connecting) -> _Connecting:
        """Starts to connect a socket whose monitor is there already, so that it sees all."""
        self._sockets.append(socket.monitor)
        try:
            connect(raw, socket.endpoint)
        except OmeError:
            socket.close()
            raise
        return socket

    def _make(self, kind: int, high_water_mark_frames: int) -> zmq.Socket[bytes]:
        raw = self._raw.socket(kind)
        self._sockets = [*(socket for socket in self._sockets if not socket.closed), raw]
        raw.setsockopt(zmq.LINGER, _LINGER_MS)
        raw.setsockopt(zmq.SNDHWM, high_water_mark_frames)
        raw.setsockopt(zmq.RCVHWM, high_water_mark_frames)
        return raw

    def _make_server(self, kind: int, heartbeat: Heartbeat, high_water_mark_frames: int) -> zmq.Socket[bytes]:
        raw = self._make(kind, high_water_mark_frames)
        raw.setsockopt(zmq.HEARTBEAT_IVL, heartbeat.interval_ms)
        raw.setsockopt(zmq.HEARTBEAT_TIMEOUT, heartbeat.timeout_ms)
        return raw
