"""The protocol of a session on its socket: what came goes in, what is to be said goes out, and connections come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ome.client.protocol import OrderEntryProtocol
from ome.keys import ClientKeys
from ome.transport import ClientSocket, Context, EndpointError, SendStatus

__all__ = ["Link"]

_DRAIN_FRAMES: Final = 256  # received in a row before the caller gets its turn
_FULL_WAIT_S: Final = 0.01  # until a full queue is tried again


class Link:
    """Joins a protocol and the sockets that it asks for. It never waits.

    `on_socket` is called with each socket that is made, and with None before it is closed. Raises EndpointError where the first cannot be.
    """

    def __init__(
        self,
        protocol: OrderEntryProtocol,
        context: Context,
        endpoint: str,
        on_socket: Callable[[ClientSocket | None], None] = lambda _: None,
        *,
        keys: ClientKeys | None = None,
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._endpoint = endpoint
        self._on_socket = on_socket
        self._keys = keys
        self.socket: ClientSocket | None = None
        self.has_more = False
        """Whether more has come than one step takes."""
        self.is_full = False
        """Whether a frame waits for room in the queue to the server."""
        self._connect(time.monotonic())
        self.flush()

    def step(self) -> None:
        """Takes what has come, does what is due, and sends what may be sent."""
        protocol = self._protocol
        is_heard = self._receive()
        now = time.monotonic()
        protocol.look(is_heard, now)
        if self.socket is not None and not protocol.wants_connection:
            self.close()
        if protocol.is_connection_due(now):
            self._connect_again(now)
        self.flush()

    def flush(self) -> None:
        """Sends what may be sent."""
        protocol = self._protocol
        self.is_full = False
        while self.socket is not None and not self.socket.is_closed:
            now = time.monotonic()
            frame = protocol.next_frame(now)
            if frame is None:
                return
            if self.socket.send(frame) != SendStatus.SENT:
                self.is_full = True
                return
            protocol.note_sent(now)

    def seconds_to_step(self) -> float:
        """How long to wait at most before the next step, if nothing comes."""
        if self.has_more:
            return 0.0
        now = time.monotonic()
        seconds = max(0.0, self._protocol.next_look(now) - now)
        return min(seconds, _FULL_WAIT_S) if self.is_full else seconds

    def close(self) -> None:
        """Drops the connection: libzmq would make another, and send what it still holds to a server that does not know the session."""
        if self.socket is not None:
            self._on_socket(None)
            self.socket.close(0)
            self.socket = None

    def _receive(self) -> bool:
        """Takes frames that have come; whether there were any. Where the connection is lost, all that came before is taken first."""
        self.has_more = False
        if self.socket is None or not self._protocol.wants_connection:
            return False
        if self.socket.is_closed:
            self._protocol.note_lost(time.monotonic(), "closed with its context", returns=False)
            return False
        self.socket.read_connection()
        count = 0
        while self._protocol.wants_connection:
            frame = self.socket.receive()
            if frame is None:
                if self.socket.is_refused:
                    self._protocol.note_not_admitted(time.monotonic())
                elif self.socket.is_lost:
                    self._protocol.note_lost(time.monotonic())
                return count > 0
            self._protocol.receive(frame, time.monotonic())
            count += 1
            if count == _DRAIN_FRAMES:
                self.has_more = True
                return True
        return count > 0

    def _connect(self, now: float) -> None:
        self.socket = self._context.connect_client(self._endpoint, keys=self._keys)
        self._protocol.note_connected(now)
        self._on_socket(self.socket)

    def _connect_again(self, now: float) -> None:
        try:
            if not self._context.is_closed:
                self._connect(now)
                return
            found, returns = "closed with its context", False
        except EndpointError as error:  # such as a host that has no address for now
            found, returns = str(error), True
        self._protocol.note_connected(now)
        self._protocol.note_lost(now, found, returns=returns)
