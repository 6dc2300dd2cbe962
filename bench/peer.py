"""The other end of the wire's figures, a process of its own: python -m bench.peer KIND [...]

Prints a line when it is ready, its endpoints first, and ends when its standard input does. KIND is one of:

- `venue DIRECTORY SETTINGS`: a server; `SETTINGS` are fields of its ServerConfig as a JSON object.
- `answer FRAMES ANSWERS ANSWERS_PER_FRAME ANSWER_BYTES`: a bare ROUTER.
- `tcp REQUEST_BYTES ANSWER_BYTES`: bare TCP.
- `holder ORDERS PARTICIPANT HEARTBEAT_S`: a client of a venue with an order at rest, which is cancelled when its connection is lost.
- `connect PORT`: a bare TCP client that says nothing.
- `burn SHARE`: uses a share of a core, 0 to 1.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq

from bench.wire_library import library, zmq_socket
from ome.cli.main import DEFAULT_INSTRUMENTS
from ome.client import OrderEntry
from ome.config import ServerConfig
from ome.enums import Policy
from ome.log import open_log
from ome.server import Server

_ANY = "tcp://127.0.0.1:0"
_HIGH_WATER_MARK_FRAMES = 10_000


def _announce(endpoint: str) -> None:
    print(endpoint, flush=True)


def _venue(directory: str, settings: str) -> None:
    fields: dict[str, Any] = json.loads(settings)
    fields["policy"] = Policy[fields["policy"].upper()]
    for name in ("keys_file", "server_key_file"):
        fields[name] = Path(fields[name]) if name in fields else None
    config = ServerConfig(
        directory=Path(directory) / "journal",
        orders_endpoint=_ANY,
        feed_endpoint=_ANY,
        requests_endpoint="",
        instruments=DEFAULT_INSTRUMENTS,
        **fields,
    )
    with open_log("text", Path(directory) / "log"), Server(config) as server:
        _announce(f"{server.orders_endpoint} {server.feed_endpoint}")
        sys.stdin.read()


def _burn(share: str) -> None:
    """Uses a share of a core, in slices of 5 ms."""
    _announce("ready")
    slice_s = 0.005
    while not select.select([sys.stdin], [], [], slice_s * (1 - float(share)))[0]:
        end = time.monotonic() + slice_s * float(share)
        while time.monotonic() < end:
            pass


def _answer(frames: str, answers: str, answers_per_frame: str, answer_bytes: str) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK_FRAMES)
        router.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK_FRAMES)
        router.bind(_ANY)
        with zmq_socket(int(router.underlying), has_peers=True) as address:
            _announce(router.getsockopt_string(zmq.LAST_ENDPOINT))
            library().bench_wire_answer(address, int(frames), int(answers), int(answers_per_frame), int(answer_bytes))
            sys.stdin.read()


def _tcp(request_bytes: str, answer_bytes: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _announce(str(listener.getsockname()[1]))
        connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = bytes(int(answer_bytes))
        while connection.recv(int(request_bytes), socket.MSG_WAITALL):
            connection.sendall(answer)


def _holder(orders: str, participant: str, heartbeat: str) -> None:
    with OrderEntry(orders, participant, heartbeat=float(heartbeat), cancel_on_disconnect="disconnect") as entry:
        entry.wait_for(entry.buy("AAPL", 1, at="150"))
        _announce("ready")
        while not select.select([sys.stdin], [], [], 0)[0]:
            entry.receive(0.02)


def _connect(port: str) -> None:
    with socket.create_connection(("127.0.0.1", int(port))):
        _announce("ready")
        sys.stdin.read()


_KINDS: dict[str, Callable[..., None]] = {
    "venue": _venue,
    "answer": _answer,
    "tcp": _tcp,
    "holder": _holder,
    "connect": _connect,
    "burn": _burn,
}


def main(arguments: Sequence[str]) -> None:
    """Runs what the arguments name."""
    _KINDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
