"""A thin wrapper of a ZeroMQ socket: only `wait` blocks, and no ZeroMQ exception escapes.

One thread at a time uses a socket.
"""

from __future__ import annotations

from enum import IntEnum

import zmq
from zmq.utils.monitor import parse_monitor_message

from ome.errors import OmeError

__all__ = [
    "ClientSocket",
    "ConnectingSocket",
    "EndpointError",
    "SendStatus",
    "Socket",
    "SocketClosedError",
    "SubscriberSocket",
    "connect",
]

Buffer = bytes | bytearray | memoryview


class EndpointError(OmeError):
    """An endpoint is not one, or cannot be had."""


class SocketClosedError(OmeError):
    """The socket was closed, or its context."""


class SendStatus(IntEnum):
    """What became of a frame."""

    SENT = 0
    FULL = 1
    """Not sent: the peer does not read fast enough."""


class Socket:
    """A socket that sends and receives frames of one part. `endpoint` is the address that it is bound or connected to."""

    def __init__(self, raw: zmq.Socket[bytes], endpoint: str) -> None:
        self.endpoint = endpoint
        self._raw = raw
        self._pollers: dict[bool, zmq.Poller] = {}

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

    def wait(self, timeout: float, *, to_send: bool = False) -> None:
        """Sleeps until something may be received (with `to_send`, or sent), or `timeout` seconds are over. Raises SocketClosedError."""
        poller = self._pollers.get(to_send) or self._poller(to_send)
        try:
            poller.poll(max(0, -int(-timeout * 1000 // 1)))
        except zmq.ZMQError as error:
            raise self._closed(error) from None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """File descriptors that become readable when something may have happened, for an event loop.

        Each does so once: before waiting again, receive until there is nothing, and look at `has_input` after anything else.
        """
        return (int(self._raw.getsockopt(zmq.FD)),)

    @property
    def has_input(self) -> bool:
        """Whether there is something to receive."""
        return not self._raw.closed and bool(int(self._raw.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def close(self, linger_ms: int | None = None) -> None:
        """Closes the socket. What was not sent yet is tried for `linger_ms`, by default the socket's own. Closing twice does nothing."""
        self._raw.close(linger_ms)

    def _poller(self, to_send: bool) -> zmq.Poller:
        poller = zmq.Poller()
        poller.register(self._raw, zmq.POLLIN | (zmq.POLLOUT if to_send else 0))
        self._pollers[to_send] = poller
        return poller

    def _closed(self, error: zmq.ZMQError) -> SocketClosedError:
        return SocketClosedError("socket", where=self.endpoint, found=str(error), allowed="an open socket")


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
        self.is_refused = False
        """Whether the server has answered that it does not admit the key. libzmq does not try again then."""
        self.has_failed = False
        """Whether a handshake has failed: the other side is no ZeroMQ server, or has other keys than this socket was given."""
        self.loss_count = 0
        """Of them, those that broke."""
        self.monitor = raw.get_monitor_socket(self._EVENTS)

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (*super().descriptors, int(self.monitor.getsockopt(zmq.FD)))

    @property
    def has_input(self) -> bool:
        is_open = not self._raw.closed
        return super().has_input or (is_open and bool(int(self.monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN))

    def read_connection(self) -> None:
        """Brings `is_connected` and the counts up to date."""
        while not self._raw.closed and int(self.monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self.monitor.recv_multipart())["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.is_connected = True
                self.connection_count += 1
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.is_refused = True
            elif event in (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
                self.has_failed = True
            elif event == zmq.EVENT_DISCONNECTED and self.is_connected:
                self.is_connected = False
                self.loss_count += 1

    def close(self, linger_ms: int | None = None) -> None:
        if not self._raw.closed:
            self.read_connection()  # a full monitor would hold up the thread that closing waits for
            self._raw.disable_monitor()
        super().close(linger_ms)

    def _poller(self, to_send: bool) -> zmq.Poller:
        poller = super()._poller(to_send)
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
        """Asks for a topic; the server sees each request, also a repeated one. Raises SocketClosedError."""
        self._set(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """Takes back one request for a topic. Raises SocketClosedError."""
        self._set(zmq.UNSUBSCRIBE, topic)

    def _set(self, option: int, topic: bytes) -> None:
        try:
            self._raw.setsockopt(option, topic)
        except zmq.ZMQError as error:
            raise self._closed(error) from None


def connect(raw: zmq.Socket[bytes], endpoint: str) -> None:
    """Starts connecting. Closes the socket and raises EndpointError where libzmq does not take the endpoint."""
    try:
        raw.connect(endpoint)
    except zmq.ZMQError as error:
        raw.close(0)
        allowed = "tcp://HOST:PORT, or ipc://PATH in a directory that exists"
        raise EndpointError(f"endpoint ({error.strerror})", where="connect", found=endpoint, allowed=allowed) from None
