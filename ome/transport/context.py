"""The ZeroMQ library and its context: where sockets come from. Each option is set here, once, with its reason.

Options that several kinds of socket share:

- A finite high-water mark: a queue without one grows until the machine is out of memory, and a finite one is faster.
- A bounded linger: the last frames get a chance to leave, and closing always comes to an end.
- Heartbeats: a peer that froze, or a cable that was cut, shows; TCP alone would take minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import zmq
import zmq.backend.cython._zmq as extension

from ome.errors import OmeError
from ome.transport.sockets import ClientSocket, SubscriberSocket, connect

__all__ = ["Context", "Heartbeat", "LibraryError", "library_path", "library_version"]

_VERSION_MIN = (4, 3, 4)  # earlier ones have known crashes that a peer can cause
_HIGH_WATER_MARK_FRAMES = 10_000
_LINGER_MS = 1_000


class LibraryError(OmeError):
    """The ZeroMQ library of this process is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A peer is asked for a sign of life every `interval_ms`, and its connection is cut when none came for `timeout_ms`."""

    interval_ms: int = 200
    timeout_ms: int = 600


CLIENT_HEARTBEAT = Heartbeat(interval_ms=1_000, timeout_ms=3_000)  # slower: a client that hangs up on a busy server loses its session


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

    `connect_client` and `connect_subscriber` raise EndpointError where an endpoint is not one.

    Raises LibraryError as `library_version`.
    """

    def __init__(self) -> None:
        library_version()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._raw = _RawContext(io_threads=1)

    def connect_client(
        self, endpoint: str, *, heartbeat: Heartbeat = CLIENT_HEARTBEAT, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES
    ) -> ClientSocket:
        """A client's order entry socket. It connects in the background, and says when it lost its connection."""
        raw = self._make(zmq.DEALER, heartbeat, high_water_mark_frames)
        socket = ClientSocket(raw, endpoint)  # its monitor must be there before the connection is
        self._sockets.append(socket.monitor)
        try:
            connect(raw, endpoint)
        except OmeError:
            socket.close()
            raise
        return socket

    def connect_subscriber(
        self, endpoint: str, *, heartbeat: Heartbeat = CLIENT_HEARTBEAT, high_water_mark_frames: int = _HIGH_WATER_MARK_FRAMES
    ) -> SubscriberSocket:
        """A client's market data socket. It connects again by itself, and then repeats its subscriptions."""
        raw = self._make(zmq.SUB, heartbeat, high_water_mark_frames)
        connect(raw, endpoint)
        return SubscriberSocket(raw, endpoint)

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

    def _make(self, kind: int, heartbeat: Heartbeat, high_water_mark_frames: int) -> zmq.Socket[bytes]:
        raw = self._raw.socket(kind)
        self._sockets = [*(socket for socket in self._sockets if not socket.closed), raw]
        raw.setsockopt(zmq.LINGER, _LINGER_MS)
        raw.setsockopt(zmq.SNDHWM, high_water_mark_frames)
        raw.setsockopt(zmq.RCVHWM, high_water_mark_frames)
        raw.setsockopt(zmq.HEARTBEAT_IVL, heartbeat.interval_ms)
        raw.setsockopt(zmq.HEARTBEAT_TIMEOUT, heartbeat.timeout_ms)
        return raw
