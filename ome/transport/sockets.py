"""A thin face of a ZeroMQ socket: nothing blocks but `wait`, and no ZeroMQ exception comes out.

The functions are those of csrc/wire/ome_socket.h, so that a loop in C and its fallback in Python see the same. One thread at a time uses a
socket.
"""

from __future__ import annotations

import errno
import os
import re
import socket as unix
from enum import IntEnum

import zmq
from zmq.utils.monitor import parse_monitor_message

from ome.errors import OmeError

__all__ = [
    "ClientSocket",
    "ConnectingSocket",
    "EndpointError",
    "RouterSocket",
    "SendStatus",
    "Socket",
    "SocketClosedError",
    "SubscriberSocket",
    "bind",
    "connect",
]

Buffer = bytes | bytearray | memoryview

_ENDPOINTS = (
    "tcp://ADDRESS:PORT, tcp://*:PORT (port 0 to 65535; 0 for any, where a server listens) or ipc://PATH in a directory that exists"
)
_ALLOWED = {
    errno.EADDRINUSE: "an address that nobody listens on yet",
    errno.EADDRNOTAVAIL: "an address of this machine",
    errno.ENODEV: "an address of this machine",
    errno.EACCES: "an address that this user may listen on",
}


class EndpointError(OmeError):
    """An endpoint is not one, or cannot be had."""


class SocketClosedError(OmeError):
    """The socket was closed, or its context."""


class SendStatus(IntEnum):
    """What became of a frame."""

    SENT = 0
    FULL = 1
    """Not sent: the peer does not read fast enough."""
    NOT_FOUND = 2
    """Not sent: the peer is gone."""


class Socket:
    """A socket that sends and receives frames of one part. `endpoint` is the address that it is bound or connected to."""

    def __init__(self, raw: zmq.Socket[bytes], endpoint: str) -> None:
        self.endpoint = endpoint
        self._raw = raw
        self._pollers: dict[tuple[bool, int], zmq.Poller] = {}

    @property
    def handle(self) -> int:
        """The address of libzmq's own socket, for C. Keep this object while C uses it."""
        return int(self._raw.underlying)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, or the context closed."""
        return self._raw.closed

    def receive(self) -> bytes | None:
        """The next part that came, or None. Raises SocketClosedError."""
        try:
            return self._raw.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        except zmq.ZMQError as error:
            raise self._closed(error) from None

    def send(self, frame: Buffer) -> SendStatus:
        """Sends one frame, or says why not. Raises SocketClosedError."""
        try:
            self._raw.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return SendStatus.FULL
        except zmq.ZMQError as error:
            raise self._closed(error) from None
        return SendStatus.SENT

    def wait(self, timeout: float, *, to_send: bool = False, event_fd: int = -1) -> None:
        """Sleeps until something may be received (with `to_send`, or sent), `event_fd` is readable, or `timeout` seconds are over.

        `event_fd` is read empty. Raises SocketClosedError.
        """
        poller = self._pollers.get((to_send, event_fd)) or self._poller(to_send, event_fd)
        try:
            ready = poller.poll(max(0, -int(-timeout * 1000 // 1)))
        except zmq.ZMQError as error:
            raise self._closed(error) from None
        if event_fd >= 0 and any(source == event_fd for source, _ in ready):
            os.eventfd_read(event_fd)

    def close(self, linger_ms: int | None = None) -> None:
        """Closes the socket. What was not sent yet is tried for `linger_ms`, by default the socket's own. Closing twice does nothing."""
        self._raw.close(linger_ms)

    def _poller(self, to_send: bool, event_fd: int) -> zmq.Poller:
        poller = zmq.Poller()
        poller.register(self._raw, zmq.POLLIN | (zmq.POLLOUT if to_send else 0))
        if event_fd >= 0:
            poller.register(event_fd, zmq.POLLIN)
        self._pollers[to_send, event_fd] = poller
        return poller

    def _closed(self, error: zmq.ZMQError) -> SocketClosedError:
        return SocketClosedError("socket", where=self.endpoint, found=str(error), allowed="an open socket")


class RouterSocket(Socket):
    """The gateway's socket: a frame comes from a peer and goes to a peer. A peer is named by bytes that mean nothing else."""

    def __init__(self, raw: zmq.Socket[bytes], endpoint: str) -> None:
        super().__init__(raw, endpoint)
        self._peer = b""
        self._has_more = False  # the last part received has another behind it, from the same peer

    def receive_from(self) -> tuple[bytes, bytes] | None:
        """The peer and the next part that it sent, or None. Each part of a message of several is a frame. Raises SocketClosedError."""
        if not self._has_more:
            peer = self.receive()
            if peer is None:
                return None
            self._peer = peer
        part = self.receive()
        assert part is not None, "the parts of one message arrive together"
        self._has_more = bool(self._raw.getsockopt(zmq.RCVMORE))
        return self._peer, part

    def send_to(self, peer: bytes, frame: Buffer) -> SendStatus:
        """Sends one frame to a peer, or says why not. Raises SocketClosedError."""
        try:
            self._raw.send(peer, zmq.NOBLOCK | zmq.SNDMORE)
            self._raw.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return SendStatus.FULL
        except zmq.ZMQError as error:
            if error.errno == errno.EHOSTUNREACH:
                return SendStatus.NOT_FOUND
            raise self._closed(error) from None
        return SendStatus.SENT


class ConnectingSocket(Socket):
    """A client's socket. `wait` also returns when the state of the connection changes; `read_connection` then tells."""

    _EVENTS = (
        zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_DISCONNECTED
    )

    def __init__(self, raw: zmq.Socket[bytes], endpoint: str) -> None:
        super().__init__(raw, endpoint)
        self.is_connected = False
        self.connection_count = 0
        """Connections that there have been. libzmq makes a new one after each loss."""
        self.loss_count = 0
        """Of them, those that broke."""
        self.monitor = raw.get_monitor_socket(self._EVENTS)

    def read_connection(self) -> None:
        """Brings `is_connected` and the counts up to date."""
        while not self._raw.closed and int(self.monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self.monitor.recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.is_connected = True
                self.connection_count += 1
            elif event == zmq.EVENT_DISCONNECTED and self.is_connected:
                self.is_connected = False
                self.loss_count += 1

    def close(self, linger_ms: int | None = None) -> None:
        if not self._raw.closed:
            self.read_connection()  # a full monitor would hold up the thread that closing waits for
            self._raw.disable_monitor()
        super().close(linger_ms)

    def _poller(self, to_send: bool, event_fd: int) -> zmq.Poller:
        poller = super()._poller(to_send, event_fd)
        poller.register(self.monitor, zmq.POLLIN)
        return poller


class ClientSocket(ConnectingSocket):
    """A client's order entry socket. Its first connection is the session's: the server does not know what comes after it."""

    @property
    def is_lost(self) -> bool:
        """There was a connection, and it broke."""
        return self.loss_count > 0


class SubscriberSocket(ConnectingSocket):
    """A client's market data socket: receives the frames that open with a topic that it subscribed to."""

    def subscribe(self, topic: bytes) -> None:
        """Asks for a topic; the server sees each request, also a repeated one."""
        self._raw.setsockopt(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """Takes back one request for a topic."""
        self._raw.setsockopt(zmq.UNSUBSCRIBE, topic)


def bind(raw: zmq.Socket[bytes], endpoint: str) -> str:
    """Binds, and returns the endpoint that was bound. Closes the socket and raises EndpointError where that is not possible."""
    if _is_listened_on(endpoint):  # libzmq would take the path away from whoever listens there
        raise _refusal(raw, endpoint, errno.EADDRINUSE)
    _attach(raw, endpoint, "bind")
    return raw.getsockopt_string(zmq.LAST_ENDPOINT)


def connect(raw: zmq.Socket[bytes], endpoint: str) -> None:
    """Starts connecting. Raises EndpointError where the endpoint is not one."""
    _attach(raw, endpoint, "connect")


def _attach(raw: zmq.Socket[bytes], endpoint: str, how: str) -> None:
    port = re.fullmatch(r"tcp://.*:(\d+)", endpoint)
    if port is not None and int(port[1]) > 65_535:  # libzmq would take it modulo 65,536
        raise _refusal(raw, endpoint, errno.EINVAL)
    try:
        getattr(raw, how)(endpoint)
    except zmq.ZMQError as error:
        raise _refusal(raw, endpoint, error.errno) from None


def _refusal(raw: zmq.Socket[bytes], endpoint: str, number: int | None) -> EndpointError:
    name = zmq.SocketType(int(raw.getsockopt(zmq.TYPE))).name
    raw.close(0)
    reason = os.strerror(number or errno.EINVAL)
    return EndpointError(f"endpoint ({reason})", where=f"{name} socket", found=endpoint, allowed=_ALLOWED.get(number or 0, _ENDPOINTS))


def _is_listened_on(endpoint: str) -> bool:
    if not endpoint.startswith("ipc://") or endpoint == "ipc://*":
        return False
    path = endpoint.removeprefix("ipc://")
    with unix.socket(unix.AF_UNIX, unix.SOCK_STREAM) as probe:
        try:
            probe.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            return False
    return True
