"""A proxy of TCP that cuts connections: what is on its way then is lost, on both ways."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

__all__ = ["Proxy"]

_CHUNK_BYTES = 1 << 16


class Proxy:
    """Listens on a port of its own and joins each connection to one to the target, an address `tcp://HOST:PORT`, in a thread."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connection_count = 0
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._is_cutting = self._is_stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Ends all connections."""
        self._is_stopping = True
        self._thread.join()

    def cut(self) -> None:
        """Breaks the connections that there are."""
        self._is_cutting = True

    def _run(self) -> None:
        while not self._is_stopping:
            if self._is_cutting:
                self._is_cutting = False
                self._cut_all()
            readable, _, _ = select.select([self._listener, *self._pairs], [], [], 0.002)
            for ready in readable:
                if ready is self._listener:
                    self._join()
                elif ready in self._pairs:
                    self._move(ready)
        self._cut_all()
        self._listener.close()

    def _join(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._target)
        except OSError:  # nobody listens there for now
            client.close()
            return
        self.connection_count += 1
        self._pairs[client], self._pairs[server] = server, client

    def _move(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK_BYTES)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one)
        self._pairs.pop(other)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.close()

    def _cut_all(self) -> None:
        while self._pairs:
            self._drop(next(iter(self._pairs)))
