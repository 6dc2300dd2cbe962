"""The ZeroMQ library and its context, which makes all sockets. Each option is set here, once, with its reason.

Options that several kinds of socket share:

- A finite high-water mark: a queue without one grows until the machine is out of memory, and a finite one is faster.
- A bounded linger: the last frames have a chance to leave, and closing always ends.
- TCP keepalive and a bound on unacknowledged bytes: a dead machine is noticed within some 20 seconds. ZeroMQ's own
  heartbeats are off: with a finite mark, libzmq 4.3.5 can abort the process when a connection is reset whose frames are
  not read (zeromq/libzmq #4364, #3937, #4767). The protocol's own heartbeats check whether a live server answers.
"""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

import zmq
import zmq.backend.cython._zmq as extension

from ome.errors import OmeError
from ome.keys import ClientKeys
from ome.transport.curve import set_client_keys
from ome.transport.endpoints import needs_ipv6
from ome.transport.sockets import ClientSocket, ConnectingSocket, SubscriberSocket, connect

__all__ = ["Context", "LibraryError", "library_path", "library_version"]

_VERSION_MIN = (4, 3, 4)  # earlier ones have known crashes that a peer can cause
_HIGH_WATER_MARK_FRAMES = 10_000
_LINGER_MS = 1_000
_KEEPALIVE_IDLE_S = 10  # a dead machine shows after 10 s and 3 probes of 3 s each,
_KEEPALIVE_INTERVAL_S = 3
_KEEPALIVE_COUNT = 3
_UNACKNOWLEDGED_MS = 20_000  # or, where bytes are on their way to it, when it has not acknowledged them for so long

_Connecting = TypeVar("_Connecting", bound=ConnectingSocket)


class LibraryError(OmeError):
    """The ZeroMQ library of this process is too old."""


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

    `connect_client` and `connect_subscriber` raise EndpointError where an endpoint is not one. With `keys` their connections are encrypted,
    and there are none with a server that does not have the secret key.

    Raises LibraryError as `library_version`.
    """

    def __init__(self) -> None:
        library_version()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._raw = _RawContext(io_threads=1)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._raw.closed

    def connect_client(
        self, endpoint: str, *, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES, keys: ClientKeys | None = None
    ) -> ClientSocket:
        """A client's order entry socket. It connects in the background, and says when it lost its connection."""
        raw = self._make_client(zmq.DEALER, endpoint, high_water_mark_frames, keys)
        return self._connect(raw, ClientSocket(raw, endpoint))

    def connect_subscriber(self, endpoint: str, *, keys: ClientKeys | None = None) -> SubscriberSocket:
        """A client's market data socket. It connects again by itself, repeats its subscriptions, and says that it did."""
        raw = self._make_client(zmq.SUB, endpoint, _HIGH_WATER_MARK_FRAMES, keys)
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

    def _make_client(self, kind: int, endpoint: str, high_water_mark_frames: int, keys: ClientKeys | None) -> zmq.Socket[bytes]:
        is_ipv6 = needs_ipv6(endpoint)  # raises before there is a socket
        raw = self._make(kind, high_water_mark_frames)
        raw.setsockopt(zmq.IPV6, int(is_ipv6))
        raw.setsockopt(zmq.TCP_KEEPALIVE, 1)
        raw.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        raw.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_INTERVAL_S)
        raw.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)
        raw.setsockopt(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)
        if keys is not None:
            set_client_keys(raw, keys)
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
