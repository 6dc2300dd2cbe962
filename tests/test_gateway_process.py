"""A gateway's process that does what it must not: the engine's process waits for it at no time, ends it, and goes on with another one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kills import gateway_of
from venues import VenueProcess, config_file, venue_config

from ome._native import lib
from ome.audit import AuditReader
from ome.client import OrderEntry
from ome.enums import Policy
from ome.errors import OmeError
from ome.gateway import remote
from ome.gateway.remote import GatewayProcess
from ome.log import LogKind
from ome.metrics import Counters
from ome.server import Server, life_cycle

pytestmark = pytest.mark.slow

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
listeners = []
of_descriptor = process.Listener.of_descriptor
process.Listener.of_descriptor = lambda *values: listeners.append(of_descriptor(*values)) or listeners[0]
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


ENDS_AT_ONCE = """\
#!{python}
import os, struct, sys
ready = b'{{"what": "ready"}}'
os.write(int(sys.argv[4]), struct.pack("!i", len(ready)) + ready)
sys.exit(3)
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
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
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
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    server.start()
    time.sleep(0.3)
    answers(server)
    close_within(server, WITHIN_S)


def test_a_gateway_that_has_shut_its_address_down_leaves_it_to_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is the venue's, and listens again: on the port that the configuration names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    then = "listeners[0]._socket.shutdown(socket.SHUT_RDWR); os._exit(1)"
    hostile_gateway(tmp_path, SILENT.format(then=then), monkeypatch)
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process", orders_endpoint=f"tcp://127.0.0.1:{port}"))
    server.start()
    answers(server)
    close_within(server, WITHIN_S)


def test_a_gateway_that_has_made_a_process_of_its_own_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on to say things when the gateway has ended: nobody hears them."""
    say = """say(b'{"what": "log", "name": "ome", "level": 30, "text": ""}')"""
    flood = f"[{say} for _ in iter(int, 1)] if not os.fork() else os._exit(1)"
    hostile_gateway(tmp_path, SILENT.format(then=flood), monkeypatch)
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    server.start()
    gateway = process_of(server)
    must_become(lambda: gateway._last_failure != "" and gateway._child is not None and gateway._child.is_ready)
    close_within(server, WITHIN_S)


# ---- a machine that gives nothing, and an operator ----


def test_a_machine_that_gives_no_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory, processes or descriptors when a gateway is to be started again: the venue goes on, and tries once more."""
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    server.start()
    spawn, failures = subprocess.Popen, [OSError(errno.EAGAIN, "no"), OSError(errno.EMFILE, "no"), OSError(errno.ENOMEM, "no")]

    def fail(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if failures:
            raise failures.pop()
        return spawn(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", fail)
    os.kill(gateway_of(os.getpid()), signal.SIGKILL)
    must_become(lambda: not failures)
    answers(server)
    close_within(server, WITHIN_S)


def test_restarts_are_counted_and_audited_with_why_the_last_gateway_ended(tmp_path: Path) -> None:
    """By a signal, or by its exit code."""
    server = Server(venue_config(tmp_path, gateway="process"))
    server.start()
    first = gateway_of(os.getpid())
    with Counters(tmp_path) as counters:
        assert counters.values()["gateway.restarts"] == 0
        os.kill(first, signal.SIGKILL)
        must_become(lambda: counters.values()["gateway.restarts"] == 1)
        second = gateway_of(os.getpid())
    answers(server)
    close_within(server, WITHIN_S)
    lines = [dict(line.fields) for line in AuditReader(tmp_path) if line.kind == LogKind.GATEWAY]
    assert lines == [{"act": "ended", "pid": first, "reason": "signal 9"}, {"act": "started", "pid": second, "after": "signal 9"}]


def test_a_gateway_that_ends_at_once_again_and_again_is_started_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it is ready, and ends. One that lives again is replaced at once when somebody kills it, time and again."""
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    server.start()
    gateway, script = process_of(server), tmp_path / "ends-at-once"
    script.write_text(ENDS_AT_ONCE.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    os.kill(gateway_of(os.getpid()), signal.SIGKILL)
    time.sleep(3.0)
    assert 4 <= gateway._starts <= 8, "after 0, 0.1, 0.2, 0.4, 0.8 and 1.6 seconds, and what a start takes"
    assert gateway._pause_s() >= 0.4
    monkeypatch.undo()
    answers(server)
    for _ in range(3):
        time.sleep(remote._SHORT_LIFE_KILLED_S)
        starts = gateway._starts
        os.kill(gateway_of(os.getpid()), signal.SIGKILL)
        must_become(lambda starts=starts: gateway._starts > starts)  # type: ignore[misc]
        assert gateway._pause_s() == 0.0
        answers(server)
    close_within(server, WITHIN_S)


def test_what_a_gateway_has_sent_is_taken_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a disk takes nothing the inbound ring is full: the next gateway waits for it, however long that is."""
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    server.start()
    gateway, begun = process_of(server), time.monotonic()
    detach = gateway._detach
    monkeypatch.setattr(remote, "_STOP_S", 0.2)
    monkeypatch.setattr(gateway, "_detach", lambda: time.monotonic() > begun + 1.5 and detach())
    os.kill(gateway_of(os.getpid()), signal.SIGKILL)
    time.sleep(1.0)
    answers(server)
    assert time.monotonic() > begun + 1.5
    monkeypatch.undo()
    close_within(server, WITHIN_S)


def test_a_descriptor_may_have_the_number_of_a_standard_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a daemon closes its standard input: the gateway gets streams of its own, and the descriptors all the same."""
    kept, create = os.dup(0), os.memfd_create

    def create_as_standard_input(name: str, flags: int) -> int:
        made = create(name, flags)
        return made if name != "ome-link-engine" else os.dup2(made, 0)

    monkeypatch.setattr(os, "memfd_create", create_as_standard_input)
    server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
    try:
        server.start()
        answers(server)
        close_within(server, WITHIN_S)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_venue_that_was_stopped_with_its_gateway_goes_on_with_the_same_one(tmp_path: Path) -> None:
    """As by the terminal's stop key: the time in which nobody ran is not the gateway's."""
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        gateway = gateway_of(venue.pid)
        for process in (venue.pid, gateway):
            os.kill(process, signal.SIGSTOP)
        time.sleep(6.0)
        os.kill(venue.pid, signal.SIGCONT)
        time.sleep(0.7)
        os.kill(gateway, signal.SIGCONT)
        OrderEntry(venue.orders_endpoint, "FIRM1", timeout=WITHIN_S).close()
        assert gateway_of(venue.pid) == gateway
        venue.stop()


def held() -> tuple[int, int]:
    """Descriptors of this process, and mappings of the link to a gateway. A server keeps one until it is garbage."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count("ome-link")


class Fails:
    """Stands for a function, whose call with this number from ome.gateway.remote fails."""

    def __init__(self, function: Callable[..., Any], number: int) -> None:
        self._function = function
        self.left = number

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.left -= sys._getframe(1).f_code.co_filename == remote.__file__
        if self.left == 0:
            self.left = -1
            raise OSError(errno.EMFILE, "no")
        return self._function(*arguments, **options)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (os, "memfd_create"),
        (os, "ftruncate"),
        (os, "eventfd"),
        (socket, "socketpair"),
        (fcntl, "fcntl"),
        (os, "pidfd_open"),
        (remote, "gateway_options"),
        (remote, "ToGateway"),
        (life_cycle, "ReportArchive"),
        (lib, "ome_engine_port_create"),
    ],
)
def test_a_start_that_fails_halfway_releases_what_it_has_made(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """Each call of each step fails once: the start fails, or tries again where it is the process that cannot be had."""
    with Server(venue_config(None, policy=Policy.MEMORY, gateway="process")):
        pass
    before, number, is_made = held(), 1, True
    while is_made:
        server = Server(venue_config(None, policy=Policy.MEMORY, gateway="process"))
        with monkeypatch.context() as patch:
            if name == "ReportArchive" or module is lib:
                failing = None
                patch.setattr(*((remote, "lib", NoPort()) if module is lib else (module, name, no_archive)))
            else:
                failing = Fails(getattr(module, name), number)
                patch.setattr(module, name, failing)
            with contextlib.suppress(OSError, MemoryError, OmeError):
                server.start()
            close_within(server, WITHIN_S)
        del server
        assert held() == before, f"call {number}"
        number, is_made = number + 1, failing is not None and failing.left < 0


def no_archive(*arguments: Any, **options: Any) -> None:
    """There is no memory for it."""
    raise MemoryError


class NoPort:
    """The library, which has no memory for a port."""

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name) if name != "ome_engine_port_create" else lambda *_: lib.OME_OK + 1


@pytest.mark.parametrize("interpreter", ["/bin/false", "", "/nowhere/python"])
def test_a_start_without_a_gateway_says_so_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, interpreter: str) -> None:
    """As in an embedding program that is no Python: it is known when the last start has failed, and no later."""
    monkeypatch.setattr(sys, "executable", interpreter)
    server, begun = Server(venue_config(None, policy=Policy.MEMORY, gateway="process")), time.monotonic()
    with pytest.raises(OmeError, match=r"cannot be started|exit code 1"):
        server.start()
    assert time.monotonic() - begun < WITHIN_S
    close_within(server, WITHIN_S)
