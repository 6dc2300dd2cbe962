"""Sockets for the loops in C: libzmq's own functions on a socket made here, or Python's as the fallback.

The loops are the same with either (csrc/wire/ome_socket.h). The fallback is for where libzmq's functions cannot be found; it is tested with
the same tests.
"""

from __future__ import annotations

from enum import Enum

from ome._native import CData, ffi, lib
from ome.errors import OmeError
from ome.transport.context import library_path, library_version
from ome.transport.sockets import RouterSocket, SendStatus, Socket, SocketClosedError

__all__ = ["Loop", "SocketTable", "TableError"]


class Loop(Enum):
    """Whose functions a loop calls on its socket."""

    AUTO = "auto"
    """libzmq's where they are found, otherwise Python's."""
    NATIVE = "native"
    PYTHON = "python"


class TableError(OmeError):
    """The native functions were asked for and are not there."""


class SocketTable:
    """A table of functions over a socket. Keep it while C uses it; the socket stays open when it is closed. `loop` says which it is."""

    def __init__(self, socket: Socket, loop: Loop = Loop.AUTO) -> None:
        self.socket = socket
        self.loop = loop
        self._zmq: CData = ffi.NULL
        self._table: CData = ffi.NULL
        if loop is not Loop.PYTHON:
            status = self._make_native()
            self.loop = Loop.NATIVE
            if status != lib.OME_OK:
                if loop is Loop.NATIVE:
                    raise TableError(
                        "libzmq's functions", where=library_path(), found=f"status {status}", allowed="the library that pyzmq has loaded"
                    )
                self.loop = Loop.PYTHON
        if self.loop is Loop.PYTHON:
            self._make_python()

    @property
    def pointer(self) -> CData:
        """The table, an ome_socket_t *."""
        return self._table

    def close(self) -> None:
        """Frees the table; C no longer uses it."""
        if self.loop is Loop.NATIVE and self._table != ffi.NULL:
            lib.ome_zmq_socket_destroy(self._table)
            lib.ome_zmq_destroy(self._zmq)
        self._table = ffi.NULL

    def _make_native(self) -> int:
        major, minor, patch = library_version()
        zmq = ffi.new("ome_zmq_t **")
        status: int = lib.ome_zmq_create(library_path().encode(), major * 10_000 + minor * 100 + patch, zmq)
        if status != lib.OME_OK:
            return status
        self._zmq = zmq[0]
        table = ffi.new("ome_socket_t **")
        handle = ffi.cast("void *", self.socket.handle)
        status = lib.ome_zmq_socket_create(self._zmq, handle, isinstance(self.socket, RouterSocket), table)
        if status == lib.OME_OK:
            self._table = table[0]
        return status

    def _make_python(self) -> None:
        self._handle = ffi.new_handle(self)
        self._received: tuple[CData, CData] = (ffi.NULL, ffi.NULL)
        self._table = ffi.new("ome_socket_t *")
        self._table.context = self._handle
        self._table.receive = lib.ome_python_receive
        self._table.send = lib.ome_python_send
        self._table.wait = lib.ome_python_wait


# The functions of the fallback. An exception inside one ends the loop: OME_STOPPED.


@ffi.def_extern(error=lib.OME_STOPPED)  # type: ignore[untyped-decorator]
def ome_python_receive(context: CData, message: CData) -> int:
    """The next part that a peer sent."""
    table = ffi.from_handle(context)
    peer = b""
    try:
        if isinstance(table.socket, RouterSocket):
            found = table.socket.receive_from()
            if found is None:
                return int(lib.OME_EMPTY)
            peer, data = found
        else:
            data = table.socket.receive()
            if data is None:
                return int(lib.OME_EMPTY)
    except SocketClosedError:
        return int(lib.OME_STOPPED)
    # Both stay alive until the next part.
    table._received = (ffi.from_buffer("uint8_t[]", peer), ffi.from_buffer("uint8_t[]", data))
    message.peer, message.data = table._received
    message.peer_size_bytes = len(peer)
    message.data_size_bytes = len(data)
    return int(lib.OME_OK)


@ffi.def_extern(error=lib.OME_STOPPED)  # type: ignore[untyped-decorator]
def ome_python_send(context: CData, peer: CData, peer_size_bytes: int, data: CData, data_size_bytes: int) -> int:
    """Sends one part, to a peer where the socket has peers."""
    socket = ffi.from_handle(context).socket
    frame = bytes(ffi.buffer(data, data_size_bytes))
    try:
        status = socket.send_to(bytes(ffi.buffer(peer, peer_size_bytes)), frame) if peer_size_bytes else socket.send(frame)
    except SocketClosedError:
        return int(lib.OME_STOPPED)
    return int({SendStatus.SENT: lib.OME_OK, SendStatus.FULL: lib.OME_FULL, SendStatus.NOT_FOUND: lib.OME_NOT_FOUND}[status])


@ffi.def_extern(error=lib.OME_STOPPED)  # type: ignore[untyped-decorator]
def ome_python_wait(context: CData, event_fd: int, timeout_ms: int) -> int:
    """Sleeps until something may have been received, the event descriptor is readable, or the time is over."""
    try:
        ffi.from_handle(context).socket.wait(timeout_ms / 1000, event_fd=event_fd)
    except SocketClosedError:
        return int(lib.OME_STOPPED)
    return int(lib.OME_OK)
