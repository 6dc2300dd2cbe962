"""A gateway's process that does what it must not: the engine's process waits for it at no time, ends it, and goes on with another one."""

from __future__ import annotations

import contextlib
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from venues import venue_config

from ome.client import OrderEntry
from ome.enums import Policy
from ome.errors import OmeError
from ome.gateway.remote import GatewayProcess
from ome.server import Server

WITHIN_S = 20.0

HOSTILE = """\
#!{python}
import os, pathlib, socket, struct, sys, time
marker = pathlib.Path({marker!r})
descriptor = int(sys.argv[4])
if marker.exists():
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
marker.touch()
def say(data):
    end = socket.socket(fileno=os.dup(descriptor))
    end.sendall(struct.pack("!i", len(data)) + data)
    end.detach()
sys.argv[1:] = sys.argv[4:]
import ome.gateway.process as process
from ome.gateway.messages import ToEngine
{code}
"""

SILENT = """
hear = ToEngine.receive
heard = []
def receive(engine):
    if heard:
        {then}
        time.sleep(3600)
    heard.append(1)
    return hear(engine)
ToEngine.receive = receive
process.main()
"""


def hostile_gateway(directory: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first gateway that a server starts runs this code, the others are what they should be."""
    script, marker = directory / "hostile", directory / "hostile-was-here"
    script.write_text(HOSTILE.format(python=sys.executable, marker=str(marker), code=code))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))


def process_of(server: Server) -> GatewayProcess:
    """Its end of the gateway's process."""
    assert isinstance(server._gateway, GatewayProcess)
    return server._gateway


def must_become(condition: Callable[[], bool]) -> None:
    """Waits until it holds."""
    end = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.01)


def answers(server: Server) -> None:
    """Somebody can log on soon, and the venue runs."""

    def can_log_on() -> bool:
        with contextlib.suppress(OmeError):
            OrderEntry(server.orders_endpoint, "FIRM1", timeout=1.0).close()
            return True
        return False

    must_become(can_log_on)
    assert server.failure is None


def close_within(server: Server, seconds: float) -> None:
    """Fails where it does not end."""
    closing = threading.Thread(target=server.close, daemon=True)
    closing.start()
    closing.join(seconds)
    assert not closing.is_alive(), "the server waits for its gateway"


def test_a_gateway_that_reads_nothing_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop runs, and it takes nothing that it is told: no thread of the venue waits, and the stop ends it."""
    hostile_gateway(tmp_path, SILENT.format(then=""), monkeypatch)
    server = Server(venue_config(None, policy=Policy.MEMORY))
    server.start()
    gateway = process_of(server)

    def tell() -> None:
        for _ in range(20_000):
            gateway.check_credentials()

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(WITHIN_S)
    assert not telling.is_alive(), "a thread of the venue waits for the gateway"
    close_within(server, WITHIN_S + 5)


@pytest.mark.parametrize(
    "then",
    [
        "os.write(descriptor, b'\\0\\0')",
        "os.write(descriptor, struct.pack('!i', 100) + b'half of it')",
        "os.write(descriptor, struct.pack('!i', -1))",
        "os.write(descriptor, struct.pack('!i', 1 << 30))",
        "say(b'[' * 60_000)",
        'say(b\'{"what": "wanted", "request": 1, "session": 1, "first": \' + b\'9\' * 4_000 + b\', "last": 1}\')',
        'say(b\'{"what": "note", "kind": "logon", "fields": {"kind": 1, "": [[]]}}\')',
        'say(b\'{"what": "log", "name": "x.y", "level": 1e9, "text": ""}\')',
        "os.close(descriptor)",
        "os.kill(os.getpid(), 11)",
    ],
)
def test_what_a_gateway_says_neither_stops_the_venue_nor_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Half a message, none at all, one that is too deep: the venue goes on, and ends when it is told to."""
    hostile_gateway(tmp_path, SILENT.format(then=then), monkeypatch)
    server = Server(venue_config(None, policy=Policy.MEMORY))
    server.start()
    time.sleep(0.3)
    answers(server)
    close_within(server, WITHIN_S)


def test_a_gateway_that_has_made_a_process_of_its_own_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on to say things when the gateway has ended: nobody hears them."""
    say = """say(b'{"what": "log", "name": "ome", "level": 30, "text": ""}')"""
    flood = f"[{say} for _ in iter(int, 1)] if not os.fork() else os._exit(1)"
    hostile_gateway(tmp_path, SILENT.format(then=flood), monkeypatch)
    server = Server(venue_config(None, policy=Policy.MEMORY))
    server.start()
    gateway = process_of(server)
    must_become(lambda: gateway._last_failure != "" and gateway._child is not None and gateway._child.is_ready)
    close_within(server, WITHIN_S)
