"""The addresses that a client connects to: checked, and names resolved, before anything is connected.

libzmq accepts nearly any text, resolves it in the background and tries forever; a client would wait and not know why.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import Any

from ome.errors import InvalidTypeError
from ome.transport.sockets import EndpointError

__all__ = ["needs_ipv6", "why_no_connection"]

_TCP = re.compile(r"tcp://(?:\[([^\[\]]+)\]|([^:;/\[\]\s]+)):([0-9]{1,5})")
_IPC = "ipc://"
_IPC_PATH_MAX = 107  # bytes: what a socket's address has room for
_ALLOWED = "tcp://HOST:PORT, tcp://[IPV6 ADDRESS]:PORT (port 1 to 65535) or ipc://PATH"
_PROBE_SECONDS = 1.0
_HELLO_SIZE_MAX = 256
_ROLES = {  # of the venue's addresses, by the type of socket that they say they are
    b"\x0bSocket-Type\0\0\0\x04XPUB": "market data",
    b"\x0bSocket-Type\0\0\0\x06ROUTER": "orders or requests",
}
_CAUSES = {
    errno.ECONNREFUSED: "nobody listens there",
    errno.ENOENT: "nobody listens there: there is no such file",
    errno.EHOSTUNREACH: "the machine cannot be reached",
    errno.ENETUNREACH: "its network cannot be reached",
    errno.EACCES: "this user may not connect there",
}


def needs_ipv6(endpoint: str) -> bool:
    """Whether the endpoint's host has IPv6 addresses only; IPv4 goes first where it has both.

    Raises EndpointError where the endpoint is malformed or its host has no address, InvalidTypeError where it is no text.
    """
    family, _ = _address(endpoint)
    return family == socket.AF_INET6


def why_no_connection(endpoint: str, *, wants: str, has_failed: bool = False) -> str:
    """What becomes of one attempt to connect to an endpoint, as a few words for a message. `has_failed` is the socket's.

    `wants` is what belongs there: orders, requests or market data.
    """
    try:
        family, address = _address(endpoint)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_SECONDS)
            probe.connect(address)
            found = _role_of(probe)
    except TimeoutError:
        return "the machine does not answer"
    except EndpointError as error:
        return str(error)
    except OSError as error:
        return _CAUSES.get(error.errno or 0, str(error))
    if found and wants not in found:
        return f"that is an address for {found}; check that it is the venue's address for {wants}"
    why = f"somebody listens there, but does not answer as a server of ome; check that it is the venue's address for {wants}"
    return f"{why}; the handshake failed, as it does when only one side has keys, or the server another one" if has_failed else why


def _role_of(probe: socket.socket) -> str:
    """What a venue's address is for, as it says without being asked; empty where connections are encrypted, or it is no venue's."""
    hello = b""
    try:
        while len(hello) < _HELLO_SIZE_MAX and (data := probe.recv(_HELLO_SIZE_MAX)):
            hello += data
            for words, role in _ROLES.items():
                if words in hello:
                    return role
    except OSError:  # also when nothing comes
        pass
    return ""


def _address(endpoint: str) -> tuple[socket.AddressFamily, str | tuple[Any, ...]]:
    """The address family and address of an endpoint."""
    if not isinstance(endpoint, str):
        raise InvalidTypeError("endpoint", found=endpoint, allowed=f"str: {_ALLOWED}")
    if endpoint.startswith(_IPC):
        path = endpoint.removeprefix(_IPC)
        if not 1 <= len(os.fsencode(path)) <= _IPC_PATH_MAX or "\0" in path or path == "*":
            raise EndpointError("endpoint", found=endpoint, allowed=f"{_ALLOWED}; a path of 1 to {_IPC_PATH_MAX} bytes")
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    parts = _TCP.fullmatch(endpoint)
    if parts is None or not 1 <= int(parts[3]) <= 65_535 or parts[2] == "*":
        raise EndpointError("endpoint", found=endpoint, allowed=_ALLOWED)
    host = parts[1] or parts[2]
    try:
        # AF_INET6 for text in brackets, so that a name or an IPv4 address there is refused.
        family = socket.AF_INET6 if parts[1] else socket.AF_UNSPEC
        flags = socket.AI_NUMERICHOST if parts[1] else 0
        found = socket.getaddrinfo(host, int(parts[3]), family, socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of the domain name system
        cause = error.strerror if isinstance(error, OSError) else "not a host name"
        allowed = f"a host with an address; {_ALLOWED}"
        raise EndpointError(f"host {host!r} ({cause})", where="endpoint", found=endpoint, allowed=allowed) from None
    best = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return best[0], best[4]
