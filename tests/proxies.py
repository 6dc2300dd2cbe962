"""Proxies between clients and a server: they stand for a network. `Proxy` breaks connections; `FrameProxy` knows ZMTP and does worse."""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from zmtp import COMMAND, GREETING_SIZE, LONG

__all__ = ["FrameProxy", "Proxy", "Troubles"]

_READ_BYTES = 1 << 16
_LOGON: Final = 128
_LOGOUT: Final = 130
_REPORTS: Final = frozenset((132, 134))
_HELD_S: Final = 0.02  # a frame waits so long for the one that is to overtake it


class Proxy:
    """Listens on a free port of the loopback, and passes bytes on to `target`, an endpoint. `cut` breaks all connections.

    With `cut_after` each of the first `len(cut_after)` connections breaks by itself when so many bytes have come back from the server.
    """

    def __init__(self, target: str, cut_after: tuple[int, ...] = ()) -> None:
        self.target = target
        self.connection_count = 0
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._bell, self._ring = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._left: dict[socket.socket, int] = {}  # of a server's end: bytes until the connection breaks
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ring.send(b"e")
        self._thread.join()

    def cut(self) -> None:
        """Breaks all connections that there are."""
        self._ring.send(b"c")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._bell:
                    orders = self._bell.recv(_READ_BYTES)
                    for end in list(self._others):
                        self._close(end)
                    if b"e" in orders:
                        for last in (self._listener, self._bell, self._ring):
                            last.close()
                        self._selector.close()
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._others:
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        host, _, port = self.target.removeprefix("tcp://").rpartition(":")
        try:
            server = socket.create_connection((host, int(port)))
        except OSError:
            client.close()
            return
        if self.connection_count < len(self._cut_after):
            self._left[server] = self._cut_after[self.connection_count]
        self.connection_count += 1
        self._others |= {client: server, server: client}
        for end in (client, server):
            self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = end.recv(_READ_BYTES)
        left = self._left.get(end, len(data))
        with contextlib.suppress(OSError):
            self._others[end].sendall(data[:left])
        if end in self._left:
            self._left[end] -= len(data)
        if not data or self._left.get(end, 1) <= 0:
            self._close(end)

    def _close(self, end: socket.socket) -> None:
        if end in self._others:
            for one in (end, self._others.pop(end)):
                self._others.pop(one, None)
                self._left.pop(one, None)
                self._selector.unregister(one)
                one.close()


@dataclass(frozen=True, slots=True)
class Troubles:
    """What a FrameProxy does, as shares of the frames that pass."""

    twice: float = 0.0
    """Sent twice: at once, or the second time behind the next frame."""
    overtaken: float = 0.0
    """Sent behind the next one."""
    late: float = 0.0
    """Waits up to `delay_s`, and all that follows behind it."""
    delay_s: float = 0.01


class FrameProxy:
    """A proxy whose connections break at any byte, and which delays, doubles and reorders the frames of both sides.

    It doubles and reorders what numbers protect: from the client everything but Logout, of which it reorders all but a Logon; from the
    server reports. `generator` chooses; `counts` says what was done.
    """

    def __init__(self, target: str, generator: random.Random, troubles: Troubles) -> None:
        self.target = target
        self.troubles = troubles
        self.generator = generator
        self.counts: Counter[str] = Counter()
        self.ends: set[_End] = set()  # of clients
        self.loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="frame-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> FrameProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def cut(self, after_bytes: int = 0, *, resets: bool = False) -> None:
        """Breaks all connections that there are, each when so many more bytes have passed. With `resets`, what waits in it is lost."""
        self.loop.call_soon_threadsafe(self._cut, after_bytes, resets)

    def calm(self) -> None:
        """No troubles any more."""
        self.troubles = Troubles()
        self.loop.call_soon_threadsafe(self._spare)

    def _run(self) -> None:
        self.loop.run_until_complete(self.loop.create_server(lambda: _End(self, None), sock=self._listener))
        self.loop.run_forever()
        self._cut(0, True)
        self.loop.run_until_complete(asyncio.sleep(0.01))
        self._listener.close()
        self.loop.close()

    def _cut(self, after_bytes: int, resets: bool) -> None:
        for end in list(self.ends):
            end.pair.arm(after_bytes, resets)

    def _spare(self) -> None:
        for end in self.ends:
            end.pair.bytes_left = None


class _Pair:
    """The two ends of a connection, and how many bytes it still passes on; None for any number."""

    def __init__(self, proxy: FrameProxy, client: _End) -> None:
        self.proxy = proxy
        self.ends = [client]
        self.bytes_left: int | None = None
        self._resets = False

    def arm(self, after_bytes: int, resets: bool) -> None:
        self.bytes_left, self._resets = after_bytes, resets
        if after_bytes == 0:
            self.break_off()

    def allowed(self, data: bytes) -> bytes:
        """How much of it passes."""
        if self.bytes_left is None:
            return data
        data = data[: self.bytes_left]
        self.bytes_left -= len(data)
        return data

    def break_off(self) -> None:
        self.proxy.counts["cut"] += 1
        for end in self.ends:
            end.end(resets=self._resets)


class _End(asyncio.Protocol):
    """One end: what comes here goes out at the other. The end of a client is made first, and connects to the server."""

    def __init__(self, proxy: FrameProxy, client: _End | None) -> None:
        self._proxy = proxy
        self._is_client = client is None
        self.pair: _Pair = _Pair(proxy, self) if client is None else client.pair
        self._other = client
        self._transport: Any = None
        self._buffer = bytearray()
        self._greeting_left = GREETING_SIZE
        self._held: bytes | None = None  # to be overtaken by the next frame
        self._again: bytes | None = None  # to be sent a second time behind the next frame
        self._waiting: deque[tuple[float, bytes]] = deque()  # when it may go, and what
        self._connecting: asyncio.Task[Any] | None = None

    # ---- what asyncio calls ----

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._other is not None:
            self._other.join(self)
            return
        self._proxy.ends.add(self)
        self._proxy.counts["connections"] += 1
        transport.pause_reading()
        self._connecting = self._proxy.loop.create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self._other is not None:
            self._flush()
            for _, piece in self._waiting:
                self._other.write(piece)
            self._waiting.clear()
            self._other.end(resets=False)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for piece in self._pieces():
            self._pass_on(piece)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.set_reading(False)

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.set_reading(True)

    # ---- what the other end and the pair call ----

    def join(self, other: _End) -> None:
        """The server's end is there."""
        self._other = other
        self.pair.ends.append(other)
        self.set_reading(True)

    def set_reading(self, reads: bool) -> None:
        if not self._transport.is_closing():
            (self._transport.resume_reading if reads else self._transport.pause_reading)()

    def write(self, data: bytes) -> None:
        """Sends on this end."""
        if self._transport.is_closing():
            return
        allowed = self.pair.allowed(data)
        self._transport.write(allowed)
        if len(allowed) < len(data):
            self.pair.break_off()

    def end(self, *, resets: bool) -> None:
        """Closes this end, behind what was written to it, or at once."""
        (self._transport.abort if resets else self._transport.close)()

    # ---- frames ----

    async def _connect(self) -> None:
        host, _, port = self._proxy.target.removeprefix("tcp://").rpartition(":")
        try:
            await self._proxy.loop.create_connection(lambda: _End(self._proxy, self), host, int(port))
        except OSError:
            self.end(resets=True)

    def _pieces(self) -> Iterator[bytes]:
        """The greeting as it comes, for each side waits for parts of the other's; then frames that are whole."""
        while size := self._next_size():
            piece = bytes(self._buffer[:size])
            del self._buffer[:size]
            if self._greeting_left:
                self._greeting_left -= size
                self._send(piece)
            else:
                yield piece

    def _next_size(self) -> int:
        """Of the next piece; 0 where it is not whole."""
        buffer = self._buffer
        if self._greeting_left:
            return min(len(buffer), self._greeting_left)
        if len(buffer) < 9 and (len(buffer) < 2 or buffer[0] & LONG):
            return 0
        size = 9 + struct.unpack_from(">Q", buffer, 1)[0] if buffer[0] & LONG else 2 + buffer[1]
        return size if len(buffer) >= size else 0

    def _pass_on(self, piece: bytes) -> None:
        template = _template(piece)
        troubles, draw = self._proxy.troubles, self._proxy.generator.random
        may_double = template != _LOGOUT if self._is_client else template in _REPORTS
        may_wait = may_double and template != _LOGON
        if template == 0 or not may_double:
            self._flush()
            self._send(piece)
        elif may_wait and self._held is None and draw() < troubles.overtaken:
            self._held = piece
            self._proxy.loop.call_later(_HELD_S, self._flush)
        else:
            self._send(piece)
            self._proxy.counts["overtaken"] += self._held is not None
            self._flush()
            if draw() < troubles.twice:
                self._double(piece)

    def _double(self, piece: bytes) -> None:
        self._proxy.counts["twice"] += 1
        if self._proxy.generator.random() < 0.5:
            self._send(piece)
        else:
            self._again = piece

    def _flush(self) -> None:
        """Sends what was held back."""
        for name in ("_held", "_again"):
            piece = getattr(self, name)
            setattr(self, name, None)
            if piece is not None:
                self._send(piece)

    def _send(self, piece: bytes) -> None:
        now = self._proxy.loop.time()
        due = now
        if self._proxy.generator.random() < self._proxy.troubles.late:
            self._proxy.counts["late"] += 1
            due = now + self._proxy.generator.random() * self._proxy.troubles.delay_s
        self._waiting.append((due, piece))
        self._send_due()

    def _send_due(self) -> None:
        now = self._proxy.loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            assert self._other is not None, "nothing is read before there is another end"
            self._other.write(self._waiting.popleft()[1])
        if self._waiting:
            self._proxy.loop.call_at(self._waiting[0][0], self._send_due)


def _template(piece: bytes) -> int:
    """The template of the first message of a frame; 0 for a command of ZMTP."""
    start = 9 if piece[0] & LONG else 2
    if piece[0] & COMMAND or len(piece) < start + 4:
        return 0
    return int.from_bytes(piece[start + 2 : start + 4], "little")
