"""The other end of the wire's figures, a process of its own: python -m bench.peer KIND [...]

Prints its endpoint and ends when its standard input does. KIND is `venue DIRECTORY` (a server, policy `async`), `answer FRAMES ANSWERS
ANSWERS_PER_FRAME ANSWER_BYTES` (a bare ROUTER) or `tcp REQUEST_BYTES ANSWER_BYTES` (bare TCP).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

from bench.wire_library import library, zmq_socket
from ome.cli.main import DEFAULT_INSTRUMENTS
from ome.config import ServerConfig
from ome.enums import Policy
from ome.server import Server

_ANY = "tcp://127.0.0.1:0"
_HIGH_WATER_MARK_FRAMES = 10_000


def _announce(endpoint: str) -> None:
    print(endpoint, flush=True)


def _venue(directory: str, event_log: str) -> None:
    config = ServerConfig(
        directory=Path(directory),
        orders_endpoint=_ANY,
        feed_endpoint=_ANY,
        requests_endpoint="",
        policy=Policy.ASYNC,
        event_log=event_log == str(True),
        instruments=DEFAULT_INSTRUMENTS,
    )
    with Server(config) as server:
        _announce(server.orders_endpoint)
        sys.stdin.read()


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


_KINDS: dict[str, Callable[..., None]] = {"venue": _venue, "answer": _answer, "tcp": _tcp}


def main(arguments: Sequence[str]) -> None:
    """Runs what the arguments name."""
    _KINDS[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
