"""What the engine's process and a gateway's process say to each other beside the link in C: rare things, over a pair of sockets.

The engine's process sends pickles, since the gateway's believes it. The gateway's sends JSON, which can carry nothing but values, and the
engine's takes no more of it than a bound.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from ome.gateway.settings import GatewaySettings
from ome.transport import QueueLimits, ServerCurve

__all__ = ["Begin", "FromEngine", "Instrument", "Keys", "Reports", "Stop", "ToEngine", "ToGateway", "ring"]

_SIZE_MAX: Final = 65_536
_WAITING_MAX: Final = 16 << 20  # bytes that a gateway may leave unread, beyond the first message
_RING: Final = (1).to_bytes(8, "little")  # as C has it
_LENGTH: Final = struct.Struct("!i")  # before each message, as multiprocessing.connection has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The first message: everything that a gateway is made of. Numbers of descriptors are those that it has inherited."""

    settings: GatewaySettings
    participants: tuple[str, ...]
    keys_file: str
    curve: ServerCurve | None
    connections: int
    queues: QueueLimits
    ring_slots: int
    endpoint: str
    listen_fd: int
    engines_fd: int
    gateways_fd: int
    bell_fd: int
    own_bell_fd: int
    engine_bell_fd: int
    instruments: tuple[bytes, ...]
    parent: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One that was added: its message in the answer to a logon."""

    definition: bytes


@dataclass(frozen=True, slots=True)
class Reports:
    """The answer to a question for old reports."""

    request: int
    reports: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys file has changed, or a key's time is over."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Send what there is, say goodbye to the clients, and end."""


FromEngine = Begin | Instrument | Keys | Reports | Stop


def ring(bell: socket.socket) -> None:
    """Wakes who sleeps at the other end of a pair of sockets. Never waits: where there is no room, it is awake, or about to be."""
    with contextlib.suppress(OSError):
        bell.send(_RING, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class ToEngine:
    """The gateway's side: any thread sends values by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, what: str, **values: object) -> None:
        """One message. Raises OSError where the engine's process is gone."""
        data = json.dumps({"what": what, **values}, default=str).encode()
        with self._lock:
            self._connection.send_bytes(data)

    def receive(self) -> FromEngine:
        """The next message of the engine's process. Raises EOFError, OSError."""
        message: FromEngine = pickle.loads(self._connection.recv_bytes())
        return message


class ToGateway:
    """The engine's side, which never waits for the gateway: it may read nothing, or send half a message.

    Any thread sends; one thread works, when the descriptor is ready for what `is_waiting` says. `first` is what the gateway hears first.
    """

    def __init__(self, ours: socket.socket, first: FromEngine) -> None:
        ours.setblocking(False)
        self._socket = ours
        self._lock = threading.Lock()
        self._waiting = deque([_framed(first)])
        self._waiting_bytes = 0  # without the first
        self._heard = bytearray()
        self.is_unread = False  # more than is allowed has waited

    def close(self) -> None:
        """Whatever was not sent is gone."""
        self._socket.close()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be sent."""
        return bool(self._waiting)

    def send(self, message: FromEngine) -> None:
        """Keeps a message for `work`. Any thread."""
        framed = _framed(message)
        with self._lock:
            self.is_unread |= self._waiting_bytes + len(framed) > _WAITING_MAX
            if not self.is_unread:
                self._waiting_bytes += len(framed)
                self._waiting.append(framed)

    def work(self) -> None:
        """Sends what can be sent now; nothing where the gateway is gone, which `receive` says."""
        with contextlib.suppress(OSError):
            while self._waiting:
                sent = self._socket.send(self._waiting[0])
                with self._lock:
                    self._waiting_bytes = max(0, self._waiting_bytes - sent)
                    self._waiting[0] = self._waiting[0][sent:]
                    if not self._waiting[0]:
                        self._waiting.popleft()

    def receive(self) -> Iterator[dict[str, object]]:
        """The messages that are there now, as far as one look goes.

        Raises EOFError or ConnectionError where the gateway is gone or has closed its end, OSError where it has sent what is no message.
        """
        try:
            data = self._socket.recv(_SIZE_MAX)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        self._heard += data
        while len(self._heard) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._heard)
            if not 0 < size <= _SIZE_MAX:
                raise OSError(f"not a message: {size} bytes")
            end = _LENGTH.size + size
            if len(self._heard) < end:
                return
            message = _message_of(bytes(self._heard[_LENGTH.size : end]))
            del self._heard[:end]
            yield message


def _framed(message: FromEngine) -> memoryview:
    data = pickle.dumps(message)
    return memoryview(_LENGTH.pack(len(data)) + data)


def _message_of(data: bytes) -> dict[str, object]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OSError(f"not a message: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("what"), str):
        raise OSError("not a message: no object with a name")
    return message
