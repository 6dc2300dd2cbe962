"""What the engine's process and a gateway's process say to each other beside the link in C: rare things, over a pair of sockets.

The engine's process sends pickles, since the gateway's believes it. The gateway's sends JSON, which can carry nothing but values, and the
engine's takes no more of it than a bound.
"""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from ome.gateway.settings import GatewaySettings
from ome.transport import QueueLimits, ServerCurve

__all__ = ["Begin", "FromEngine", "Instrument", "Keys", "Reports", "Stop", "ToEngine", "receive_from_gateway"]

_SIZE_MAX: Final = 65_536


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
    event_fd: int
    engine_event_fd: int
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


class ToEngine:
    """The gateway's side: any thread sends values by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, what: str, **values: object) -> None:
        """One message. Raises OSError where the engine's process is gone."""
        data = json.dumps({"what": what, **values}, default=str).encode()[:_SIZE_MAX]
        with self._lock:
            self._connection.send_bytes(data)

    def receive(self) -> FromEngine:
        """The next message of the engine's process. Raises EOFError, OSError."""
        message: FromEngine = pickle.loads(self._connection.recv_bytes())
        return message


def receive_from_gateway(connection: Connection) -> dict[str, object]:
    """The engine's side: the next message. Raises EOFError, OSError where the gateway is gone, or has sent what is none."""
    try:
        message = json.loads(connection.recv_bytes(_SIZE_MAX))
    except ValueError as error:
        raise OSError(f"not a message: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("what"), str):
        raise OSError("not a message: no object with a name")
    return message
