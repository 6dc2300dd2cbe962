"""The listening side of a server: an address, its socket, and the listener in C that serves connections
(csrc/wire/ome_listener.h).

The wire is ZeroMQ's, and clients use any ZeroMQ library. The server has its own implementation: a peer can make libzmq
4.3.5 abort if it sends a PING behind input that is stalled at the high-water mark and resets its connection. libzmq
also takes unbounded memory for messages of many parts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from weakref import WeakSet

from ome._native import CData, ffi, lib
from ome.errors import InvalidValueError
from ome.transport.curve import ServerCurve, curve_config, key_rows
from ome.transport.sockets import EndpointError

__all__ = ["Listener", "ListenerUse", "QueueLimits"]

_BACKLOG = 1_024
_KERNEL_BUFFER_BYTES = 256 << 10  # for each direction of a connection; without it the kernel's grow to megabytes
_LINGER_MS = 1_000
_ENDPOINTS = "tcp://ADDRESS:PORT, tcp://[IPV6]:PORT, tcp://*:PORT (port 0 to 65535; 0 for any) or ipc://PATH in a directory that exists"
_ALLOWED = {
    errno.EADDRINUSE: "an address that nobody listens on yet",
    errno.EADDRNOTAVAIL: "an address of this machine",
    errno.EACCES: "an address that this user may listen on",
    errno.ENOENT: "ipc://PATH in a directory that exists",
}


class ListenerUse(IntEnum):
    """What clients do on an address."""

    ORDERS = lib.OME_LISTEN_ORDERS
    FEED = lib.OME_LISTEN_FEED
    REQUESTS = lib.OME_LISTEN_REQUESTS


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """Bytes that may wait: in one part of a message from a client, for one connection, and for all together."""

    part_bytes: int
    queue_bytes: int
    pool_bytes: int


class Listener:
    """A bound socket that listens, and, once `serve` was called, the connections on it. `endpoint` is the address that it got.

    Raises EndpointError where the endpoint is not one, or cannot be had.
    """

    def __init__(self, endpoint: str) -> None:
        self._path = ""
        self._file = (0, 0)  # device and inode of the path
        self._pointer: CData = ffi.NULL
        self._closing = threading.Lock()  # keys are replaced by other threads
        _LISTENERS.add(self)
        if endpoint.startswith("tcp://"):
            self._socket = _bind_tcp(endpoint)
            self.endpoint = _tcp_endpoint(self._socket)
        elif endpoint.startswith("ipc://") and endpoint != "ipc://":
            self._socket = self._bind_ipc(endpoint)
            self.endpoint = endpoint
        else:
            raise EndpointError("endpoint (Invalid argument)", where="listener", found=endpoint, allowed=_ENDPOINTS)
        self._socket.setblocking(False)

    @classmethod
    def of_descriptor(cls, descriptor: int, endpoint: str) -> Listener:
        """A socket that another process has bound, and of which this process has a copy."""
        made = cls.__new__(cls)
        made._path, made._file, made._pointer = "", (0, 0), ffi.NULL
        made._closing = threading.Lock()
        made._socket = socket.socket(fileno=descriptor)
        made.endpoint = endpoint
        _LISTENERS.add(made)
        return made

    @property
    def descriptor(self) -> int:
        """Of the socket that listens."""
        return self._socket.fileno()

    def listen_again(self) -> None:
        """Where a process that had a copy may have shut the socket down; else nothing changes.

        Only TCP does, with a port that the endpoint names: one that the system chose is lost with it. Raises OSError.
        """
        self._socket.listen(_BACKLOG)

    def serve(
        self,
        venue: CData,
        use: ListenerUse,
        *,
        connections: int,
        limits: QueueLimits,
        curve: ServerCurve | None = None,
        listen: Callable[..., int] = lib.ome_venue_listen,
    ) -> CData:
        """Makes the listener in C, an ome_listener_t *. Keep this object while C uses it.

        `listen` is the function that makes it: in a gateway's process another one, and `venue` what it takes. With `curve` only clients
        that have an admitted key come in, and connections are encrypted.
        """
        made = ffi.new("ome_listener_t **")
        status = listen(
            venue,
            self._socket.fileno(),
            use,
            connections,
            limits.part_bytes,
            limits.queue_bytes,
            limits.pool_bytes,
            ffi.NULL if curve is None else curve_config(curve),
            made,
        )
        if status == lib.OME_IO_ERROR:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        if status != lib.OME_OK:
            raise MemoryError("no memory for the connections of a listener")
        self._pointer = made[0]
        if curve is not None:
            self.admit_keys(curve.admitted)
        return self._pointer

    def admit_keys(self, admitted: Mapping[bytes, int]) -> None:
        """From now on the listener admits these public keys, each with its number, and no others.

        Within a second it ends the connections whose key is not among them, or has another number. Any thread may call it; after `close`
        it does nothing.

        Raises InvalidValueError: a key or a number is none, there are too many, or the listener serves without keys.
        """
        rows = key_rows(admitted)
        with self._closing:
            if self._pointer != ffi.NULL and lib.ome_listener_admit_keys(self._pointer, rows, len(rows)) != lib.OME_OK:
                allowed = "as many as the listener was made for; none where it serves without keys"
                raise InvalidValueError("keys to admit", where=self.endpoint, found=f"{len(rows):,} keys", allowed=allowed)

    def key_of(self, peer: int) -> int:
        """The number of the key with which a peer has proved who it is; 0: none, or it is gone. On the listener's thread."""
        return int(lib.ome_listener_key(self._pointer, peer)) if self._pointer != ffi.NULL else 0

    def address_of(self, peer: int) -> str:
        """Where a peer's connection comes from: host and port, "ipc", or nothing where it is gone. On the listener's thread."""
        descriptor = int(lib.ome_listener_descriptor(self._pointer, peer)) if self._pointer != ffi.NULL else -1
        if descriptor < 0:
            return ""
        if not self.endpoint.startswith("tcp://"):
            return "ipc"
        try:
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                host, port = connection.getpeername()[:2]
        except OSError:  # it has just broken
            return ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Sends what can be sent within a second, and closes the connections and the socket. C no longer uses it."""
        with self._closing:
            lib.ome_listener_destroy(self._pointer, _LINGER_MS)
            self._pointer = ffi.NULL
        self._socket.close()
        if self._path:
            with contextlib.suppress(OSError):
                if _file_of(self._path) == self._file:  # another server may have taken the path over
                    os.unlink(self._path)
            self._path = ""

    def _abandon(self) -> None:
        """In a child of fork: a child that lives on must keep neither the address nor the connections."""
        if self._pointer != ffi.NULL:
            lib.ome_listener_abandon(self._pointer)
            self._pointer = ffi.NULL
        self._closing = threading.Lock()  # another thread of the parent may have had it
        self._path = ""
        if hasattr(self, "_socket"):
            self._socket.close()

    def _bind_ipc(self, endpoint: str) -> socket.socket:
        path = endpoint.removeprefix("ipc://")
        if "\0" in path:
            raise EndpointError("endpoint (Invalid argument)", where="listener", found=endpoint, allowed=_ENDPOINTS)
        address = "\0" + path[1:] if path.startswith("@") else path
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if not path.startswith("@"):
                _remove_left_over(address)
            made.bind(address)
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            raise _refusal(endpoint, error) from None
        if not path.startswith("@"):
            self._path, self._file = path, _file_of(path)
        return made


def _file_of(path: str) -> tuple[int, int]:
    """Device and inode."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


_LISTENERS: WeakSet[Listener] = WeakSet()  # of this process


def _abandon_all() -> None:
    for listener in list(_LISTENERS):
        listener._abandon()


os.register_at_fork(after_in_child=_abandon_all)


def _bind_tcp(endpoint: str) -> socket.socket:
    match = re.fullmatch(r"tcp://(?:\[([^\]]+)\]|([^:\[\]]+)):(\d{1,5})", endpoint)
    if match is None or int(match[3]) > 65_535:
        raise EndpointError("endpoint (Invalid argument)", where="listener", found=endpoint, allowed=_ENDPOINTS)
    host = match[1] or match[2]
    port = int(match[3])
    try:
        if host == "*":
            family, address = socket.AF_INET, ("0.0.0.0", port)
        else:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            found.sort(key=lambda one: one[0] != socket.AF_INET)  # of a name with both, as clients do
            family, address = found[0][0], found[0][4]  # type: ignore[assignment]
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a host name"
        raise EndpointError(f"endpoint ({reason})", where="listener", found=endpoint, allowed=_ENDPOINTS) from None
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER_BYTES)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER_BYTES)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise _refusal(endpoint, error) from None
    return made


def _tcp_endpoint(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"tcp://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"tcp://{host}:{port}"


def _remove_left_over(path: str) -> None:
    """Removes the socket of a server that died; one that somebody listens on stays, and what is no socket too."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return


def _refusal(endpoint: str, error: OSError) -> EndpointError:
    number = error.errno or errno.EINVAL
    allowed = _ALLOWED.get(number, _ENDPOINTS)
    return EndpointError(f"endpoint ({os.strerror(number)})", where="listener", found=endpoint, allowed=allowed)
