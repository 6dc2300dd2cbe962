"""ZMTP written by hand: greetings, commands and frames as bytes, and a connection that sends any of them, also what libzmq never would.

Source: ZeroMQ RFC 37 (ZMTP 3.1). Standard library only, so that a process which uses it starts fast.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from types import TracebackType
from typing import Final

MORE: Final = 1
LONG: Final = 2
COMMAND: Final = 4
GREETING_SIZE: Final = 64
_READ_SIZE: Final = 1 << 16


class Cut(ConnectionError):  # noqa: N818
    """The other side has closed the connection, refuses it, or does not answer in time."""


def greeting(mechanism: bytes = b"NULL", version: tuple[int, int] = (3, 1), *, as_server: bool = False) -> bytes:
    """The first 64 bytes of a connection.

    >>> len(greeting())
    64
    """
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def frame(body: bytes, flags: int = 0) -> bytes:
    """A frame: flags, size in 1 or 8 bytes, body.

    >>> frame(b"x", MORE)
    b'\\x01\\x01x'
    """
    if len(body) > 255 or flags & LONG:
        return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


def command(name: bytes, body: bytes = b"") -> bytes:
    """A command frame. Its name has at most 255 bytes."""
    return frame(bytes([len(name)]) + name + body, COMMAND)


def property_of(name: bytes, value: bytes) -> bytes:
    """A property of the metadata in READY."""
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def ready(socket_type: bytes = b"DEALER", identity: bytes | None = None) -> bytes:
    """The command that ends a handshake without keys."""
    metadata = property_of(b"Socket-Type", socket_type)
    return command(b"READY", metadata if identity is None else metadata + property_of(b"Identity", identity))


def ping(ttl_tenths: int = 0, context: bytes = b"") -> bytes:
    """PING: after `ttl_tenths` tenths of a second without traffic the receiver may cut the connection; 0 for never."""
    return command(b"PING", struct.pack(">H", ttl_tenths) + context)


def subscription(topic: bytes) -> bytes:
    """A subscription as a message, as ZMTP 3.0 has it."""
    return frame(b"\x01" + topic)


def cancellation(topic: bytes) -> bytes:
    """The end of a subscription, likewise."""
    return frame(b"\x00" + topic)


class Peer:
    """A TCP connection to `endpoint` (tcp://ADDRESS:PORT) that sends any bytes. Nothing waits longer than `timeout` seconds.

    Methods raise Cut, a ConnectionError, where the other side is gone. `receive_buffer` makes the window small, in bytes, for who does
    not read.
    """

    def __init__(self, endpoint: str, *, timeout: float = 2.0, receive_buffer: int | None = None) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.number = 0  # session sequence of the last message that was taken from its session, where it has one
        self._timeout = timeout
        self._received = bytearray()
        self.socket = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect((host.strip("[]"), int(port)))
        except OSError as error:
            self.socket.close()
            raise Cut(str(error)) from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- out ----

    def send(self, data: bytes) -> None:
        """Sends all of it. Raises Cut where it is not taken in time."""
        sent = self.pour(data, time.monotonic() + self._timeout)
        if sent < len(data):
            raise Cut(f"{sent} of {len(data)} bytes taken in {self._timeout} s")

    def offer(self, data: bytes | memoryview) -> int:
        """Sends what is taken at once: the number of bytes, 0 where the other side does not read."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Cut(str(error)) from None

    def pour(self, data: bytes | memoryview, until: float, *, reads: bool = False) -> int:
        """Sends what is taken until `until` (monotonic), and drops what comes if it `reads`. The number of bytes sent."""
        view, sent = memoryview(data), 0
        while sent < len(data):
            sent += self.offer(view[sent:])
            if reads:
                self.drop()
            left = until - time.monotonic()
            if left <= 0:
                break
            if sent < len(data):
                select.select([self.socket] if reads else [], [self.socket], [], min(left, 0.05))
        return sent

    # ---- in ----

    def drop(self) -> int:
        """Reads what has come and forgets it: the number of bytes."""
        total = len(self._received)
        self._received.clear()
        while data := self._read_some():
            total += len(data)
            if total > 1 << 24:
                break
        return total

    def receive(self, size: int) -> bytes:
        """The next `size` bytes. Raises Cut where they do not come in time."""
        deadline = time.monotonic() + self._timeout
        while len(self._received) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Cut(f"{len(self._received)} of {size} bytes came in {self._timeout} s")
            if select.select([self.socket], [], [], left)[0]:
                self._received += self._read_some()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def receive_frame(self) -> tuple[int, bytes]:
        """Flags and body of the next frame, commands too. Raises Cut as `receive`."""
        flags = self.receive(1)[0]
        size = struct.unpack(">Q", self.receive(8))[0] if flags & LONG else self.receive(1)[0]
        return flags, self.receive(size)

    def receive_message(self) -> bytes:
        """The body of the next frame that is no command; PINGs are answered. Raises Cut as `receive`."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            flags, body = self.receive_frame()
            if not flags & COMMAND:
                return body
            if body.startswith(b"\x04PING"):
                self.send(command(b"PONG", body[7:]))
        raise Cut(f"nothing but commands came in {self._timeout} s")

    def handshake(self, socket_type: bytes = b"DEALER", identity: bytes | None = None) -> Peer:
        """Greeting and READY of both sides; itself. Raises Cut where the other side does not want to."""
        self.send(greeting())
        self.receive(GREETING_SIZE)
        self.send(ready(socket_type, identity))
        _, body = self.receive_frame()
        if not body.startswith(b"\x05READY"):
            raise Cut(f"{body[:40]!r} instead of READY")
        return self

    def _read_some(self) -> bytes:
        """What has come, up to some size. b"" where nothing has. Raises Cut at the end of the stream."""
        try:
            data = self.socket.recv(_READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Cut(str(error)) from None
        if not data:
            raise Cut("closed by the other side")
        return data

    # ---- the end ----

    def half_close(self) -> None:
        """FIN: nothing more is sent from here; the other direction stays open."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise Cut(str(error)) from None

    def reset(self) -> None:
        """RST: the connection is gone, whatever was on its way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """FIN in both directions. Closing twice does nothing."""
        self.socket.close()
