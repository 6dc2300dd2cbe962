"""A proxy between clients and a server, whose connections a test cuts: it stands for a network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType

__all__ = ["Proxy"]

_READ_BYTES = 1 << 16


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
