"""The engine's side of a gateway that is a process of its own: it starts the process, watches it, and starts it again when it has ended.

Two threads: `ome-port` works the link in C (csrc/wire/ome_port.h) and waits for nobody; `ome-gateway` starts and watches the process, and
does the rare things that it asks for.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import EVENT
from ome.config import ServerConfig
from ome.engine import limits_of
from ome.enums import CommandKind, Reason
from ome.errors import OmeError
from ome.flood import Flood
from ome.gateway import gateway_options
from ome.gateway.archive import Wanted
from ome.gateway.messages import Begin, FromEngine, Instrument, Keys, Reports, Stop, ToGateway, ring
from ome.gateway.settings import Archive, GatewaySettings
from ome.log import LogKind
from ome.supervision import Supervisor
from ome.transport import Listener, QueueLimits, ServerCurve

__all__ = ["GatewayProcess"]

_log = logging.getLogger("ome.gateway")

_TURN_MS: Final = 20  # the counters of the gateway are shown so often
_LOOK_MS: Final = 250
_FROZEN_S: Final = 5.0  # a gateway whose loop makes no turn for so long is ended
_STOPPED_S: Final = 2.0  # between two looks: a gateway's time does not count meanwhile
_START_S: Final = 30.0  # so is one that is not ready then
_STOP_S: Final = 10.0
_FLUSH_S: Final = 2.0
_EXIT_S: Final = 1.0  # within which one that has closed its end has ended
_LINES_PER_SECOND: Final = 20  # of the gateway's sentences in the log
_LAST_LOOKS: Final = 16  # at what one that has ended has still said
_REPORT_MAX: Final = (1 << 63) - 1
_STARTS_IN_A_ROW: Final = 5  # that may fail before the venue gives up
_SHORT_LIFE_S: Final = 5.0  # a gateway that ends so soon after it was ready will probably do so again,
_SHORT_LIFE_KILLED_S: Final = 0.2  # one that somebody killed will not, unless it was at once
_PAUSE_MIN_S: Final = 0.1  # before the start after the second short life in a row; doubles to the maximum
_PAUSE_MAX_S: Final = 4.0
_F_SEAL_FUTURE_WRITE: Final = 0x0010
_NOTES: Final = frozenset({LogKind.LOGON, LogKind.LOGOUT, LogKind.REFUSAL, LogKind.TAKEOVER, LogKind.THROTTLE, LogKind.KILL})


def _bell() -> tuple[socket.socket, socket.socket]:
    """Two ends: messages to the first wake who sleeps on it, and the second sends them (csrc/concurrent/ome_channel.h)."""
    ear, ringer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    return ear, ringer


def _copy(descriptor: int, copies: contextlib.ExitStack) -> int:
    """Of a number that is none of the standard streams, which a process that is started gets anew. It is closed with `copies`."""
    copied = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    copies.callback(os.close, copied)
    return copied


class GatewayFailedError(OmeError):
    """The process of the gateway did not start."""


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    connection: ToGateway
    pidfd: int
    begun: float
    is_ready: bool = False
    ready_at: float = 0.0
    turns: int = 0
    turned: float = 0.0
    looked: float = 0.0
    why: str = ""


class GatewayProcess:
    """As `Gateway`, for a gateway in another process.

    `archive` makes the one that reads the journal; `note` and `on_defined` are as in `Host`.
    """

    def __init__(
        self,
        venue: CData,
        config: ServerConfig,
        settings: GatewaySettings,
        *,
        listener: Listener,
        curve: ServerCurve | None,
        connections: int,
        queues: QueueLimits,
        archive: Callable[[Callable[[int, bytes], None]], Archive],
        note: Callable[..., None],
        tell: Callable[..., None],
        on_defined: Callable[[int, int, Reason], None],
        supervisor: Supervisor,
    ) -> None:
        self._venue = venue
        self._config = config
        self._settings = settings
        self._listener = listener
        self._curve = curve
        self._connections = connections
        self._queues = queues
        self._note = note
        self._tell = tell
        self._on_defined = on_defined
        self._instruments: list[bytes] = []
        self._owned = contextlib.ExitStack()
        try:
            self._make_link()
            self._archive = archive(self._give_reports)
        except BaseException:
            self._owned.close()
            raise
        self._jobs: SimpleQueue[tuple[Callable[[], bool], threading.Event]] = SimpleQueue()  # for the thread of the port
        self._sending = threading.Lock()  # of the child that is told, and of what it is told first
        self._flood = Flood()
        self._child: _Child | None = None
        self._stopping = threading.Event()
        self._is_broken = False
        self._starts = 0
        self._failed_starts = 0
        self._short_lives = 0  # in a row
        self._last_failure = ""
        self._ready = threading.Event()
        self._port_thread = supervisor.thread("ome-port", self._serve_port, period_s=0.0, attempts=1)
        self._thread = supervisor.thread("ome-gateway", self._watch, period_s=0.0, attempts=1)

    # ---- what a server does with it ----

    @property
    def connected(self) -> CData:
        """By session, 1 for one that is connected: for any thread, as long as this is not closed."""
        return lib.ome_engine_port_connected(self._pointer)

    def add_instrument(self, definition: bytes) -> None:
        """The instrument is in the answer to every logon from now on."""
        with self._sending:
            self._instruments.append(definition)
            self._send_to_child(Instrument(definition))

    def check_credentials(self) -> None:
        """What clients have proved may no longer count: the sessions for which it does not, end. Any thread."""
        self._send(Keys())

    def start(self) -> None:
        """Serves from now on. Raises GatewayFailedError where the process does not."""
        self._archive.start()
        self._port_thread.start()
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._ready.wait(_LOOK_MS / 1_000):
            if self._thread.is_running and time.monotonic() < deadline:
                continue
            raise GatewayFailedError("gateway", found=self._last_failure or "no answer", allowed="a process that is ready")

    def close_entry(self) -> None:
        """Takes no more commands from clients, and takes all that it has taken: before the venue stops."""
        lib.ome_engine_port_close_entry(self._pointer)  # also for a gateway that is about to start
        if self._child is None:
            return
        turns = int(lib.ome_engine_port_turns(self._pointer))
        deadline = time.monotonic() + _FLUSH_S
        while int(lib.ome_engine_port_turns(self._pointer)) < turns + 2 and time.monotonic() < deadline and self._is_alive():
            ring(self._gateway_bell_ringer)
            time.sleep(0.001)
        self._flush(deadline)

    def stop(self) -> None:
        """Ends the process, when it has sent the last frames."""
        if self._is_alive():
            self._flush(time.monotonic() + _FLUSH_S)
        self._stopping.set()
        os.eventfd_write(self._wake_fd, 1)
        self._thread.stop()
        self._port_stop()
        self._archive.stop()

    def close(self) -> None:
        """Frees everything; the venue no longer runs."""
        self._owned.close()

    # ---- memory ----

    def _own(self, descriptor: int) -> int:
        self._owned.callback(os.close, descriptor)
        return descriptor

    def _make_link(self) -> None:
        self._engines_fd, self._gateways_fd = self._make_regions()
        self._event_fd = self._own(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self._wake_fd = self._own(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        # The first of each is the end of who sleeps. The gateway's process has all but the end of this one.
        self._bell, self._bell_ringer = map(self._owned.enter_context, _bell())
        self._gateway_bell, self._gateway_bell_ringer = map(self._owned.enter_context, _bell())
        port = ffi.new("ome_engine_port_t **")
        status = lib.ome_engine_port_create(
            self._venue,
            self._engines_fd,
            self._gateways_fd,
            self._event_fd,
            self._bell.fileno(),
            self._gateway_bell_ringer.fileno(),
            gateway_options(self._settings),
            port,
        )
        if status != lib.OME_OK:
            raise MemoryError("no memory for the link to the gateway")
        self._pointer = port[0]
        self._owned.callback(lib.ome_engine_port_destroy, self._pointer)
        self._seal()

    def _make_regions(self) -> tuple[int, int]:
        engines, gateways = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        lib.ome_link_measure(limits_of(self._settings.limits), self._config.ring_slots, engines, gateways)
        made = []
        for name, size in (("ome-link-engine", engines[0]), ("ome-link-gateway", gateways[0])):
            descriptor = self._own(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
            os.ftruncate(descriptor, size)
            made.append(descriptor)
        return made[0], made[1]

    def _seal(self) -> None:
        """Nobody changes the sizes, and the gateway's process can only read what the engine's writes."""
        sizes = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(self._engines_fd, fcntl.F_ADD_SEALS, sizes | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        fcntl.fcntl(self._gateways_fd, fcntl.F_ADD_SEALS, sizes | fcntl.F_SEAL_SEAL)

    # ---- the thread of the port ----

    def _serve_port(self) -> bool:
        """Until the stop. False: that is the end."""
        while True:
            outcome = lib.ome_engine_port_run(self._pointer, _TURN_MS if self._jobs.empty() else 1)
            if outcome == lib.OME_PORT_DEFINED:
                self._take_definition()
            elif outcome == lib.OME_PORT_BROKEN and not self._is_broken:
                self._is_broken = True
                os.eventfd_write(self._wake_fd, 1)
            elif outcome == lib.OME_PORT_BROKEN:
                time.sleep(0.001)
            try:
                job, done = self._jobs.get_nowait()
            except Empty:
                continue
            if not job():
                self._jobs.put((job, done))  # once more
                continue
            done.set()
            if job == self._end_port:
                return False

    def _take_definition(self) -> None:
        event = np.frombuffer(bytes(ffi.buffer(lib.ome_engine_port_event(self._pointer), 64)), dtype=EVENT)[0]
        if int(event["command_kind"]) != CommandKind.DEFINE_SESSION:
            self._on_defined(int(event["command_kind"]), int(event["instrument"]), Reason(int(event["reason"])))

    def _do_on_port(self, job: Callable[[], bool], timeout_s: float = _STOP_S) -> bool:
        done = threading.Event()
        self._jobs.put((job, done))
        os.eventfd_write(self._event_fd, 1)
        return done.wait(timeout_s)

    def _do_on_port_whenever(self, job: Callable[[], bool]) -> None:
        """Until it is done, since the next gateway comes after it: while the disk takes nothing the ring may be full.

        Where the venue stops it is given up at last: no gateway comes then.
        """
        done = threading.Event()
        self._jobs.put((job, done))
        os.eventfd_write(self._event_fd, 1)
        begun = time.monotonic()
        while not done.wait(_LOOK_MS / 1_000) and self._port_thread.is_running:
            if self._stopping.is_set() and time.monotonic() - begun > _STOP_S:
                break

    def _attach(self) -> bool:
        lib.ome_engine_port_attach(self._pointer)
        return True

    def _detach(self) -> bool:
        return bool(lib.ome_engine_port_detach(self._pointer))

    def _end_port(self) -> bool:
        return True

    def _flush(self, deadline: float) -> None:
        """Waits until the gateway has everything that there is for it."""

        def is_flushed() -> bool:
            return bool(lib.ome_engine_port_is_flushed(self._pointer)) or time.monotonic() >= deadline or not self._is_alive()

        self._do_on_port(is_flushed, _FLUSH_S + 1)

    def _port_stop(self) -> None:
        if self._port_thread.is_started:
            self._do_on_port(self._end_port)
        self._port_thread.stop()

    # ---- the thread that watches ----

    def _is_alive(self) -> bool:
        child = self._child
        return child is not None and child.process.poll() is None

    def _watch(self) -> bool:
        """Until the stop. False: that is the end."""
        while not self._stopping.is_set():
            if self._start_child():
                self._follow_child()
            if not self._stopping.is_set() and self._failed_starts >= _STARTS_IN_A_ROW:
                raise GatewayFailedError(
                    "gateway", found=f"{self._failed_starts} starts that failed: {self._last_failure}", allowed="a process that is ready"
                )
        return False

    def _start_child(self) -> bool:
        """False where the system does not give a process, memory or a descriptor for it."""
        if self._stopping.wait(self._pause_s()):
            return False
        try:
            child = self._spawn()
        except (OSError, ValueError) as error:  # ValueError: no name of an interpreter
            self._failed_starts += 1
            self._last_failure = f"{sys.executable!r} cannot be started: {error}"
            _log.warning("no process for the gateway: %s", self._last_failure)
            return False
        self._starts += 1
        lib.ome_venue_set_gateway_restarts(self._venue, self._starts - 1)
        if self._starts == 1:
            self._tell(LogKind.GATEWAY, act="started", pid=child.process.pid)
        else:
            self._note(LogKind.GATEWAY, act="started", pid=child.process.pid, after=self._last_failure)
        return True

    def _pause_s(self) -> float:
        """Before the next start: none after the first short life, since one that was killed is to be back soon."""
        if self._failed_starts:
            return min(2.0, 0.1 * 2.0**self._failed_starts)
        doublings = min(self._short_lives - 2, 10)
        return 0.0 if doublings < 0 else min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0**doublings)

    def _spawn(self) -> _Child:
        self._listener.listen_again()
        with contextlib.ExitStack() as failed:
            ours, theirs = socket.socketpair()
            failed.callback(ours.close)
            with theirs, contextlib.ExitStack() as copies:
                mine = (
                    theirs.fileno(),
                    self._listener.descriptor,
                    self._engines_fd,
                    self._gateways_fd,
                    self._gateway_bell.fileno(),
                    self._gateway_bell_ringer.fileno(),
                    self._bell_ringer.fileno(),
                )
                told, *inherited = (_copy(descriptor, copies) for descriptor in mine)
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "ome.gateway.process", str(told), "ome-gateway"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(told, *inherited),
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            failed.callback(process.wait)
            failed.callback(process.kill)
            pidfd = os.pidfd_open(process.pid)
            failed.callback(os.close, pidfd)
            self._is_broken = False
            self._do_on_port_whenever(self._attach)
            failed.callback(self._do_on_port_whenever, self._detach)
            now = time.monotonic()
            with self._sending:
                self._child = child = _Child(process, ToGateway(ours, self._begin(*inherited)), pidfd, begun=now, turned=now, looked=now)
            failed.pop_all()
        return child

    def _begin(self, listen_fd: int, engines_fd: int, gateways_fd: int, bell_fd: int, own_bell_fd: int, engine_bell_fd: int) -> Begin:
        """What a gateway is told first. The descriptors are those that it has inherited."""
        return Begin(
            settings=self._settings,
            participants=self._config.participants,
            keys_file=str(self._config.keys_file or ""),
            curve=self._curve,
            connections=self._connections,
            queues=self._queues,
            ring_slots=self._config.ring_slots,
            endpoint=self._listener.endpoint,
            listen_fd=listen_fd,
            engines_fd=engines_fd,
            gateways_fd=gateways_fd,
            bell_fd=bell_fd,
            own_bell_fd=own_bell_fd,
            engine_bell_fd=engine_bell_fd,
            instruments=tuple(self._instruments),
            parent=os.getpid(),
        )

    def _follow_child(self) -> None:
        """Until it has ended."""
        child = self._child
        assert child is not None, "it was started"
        poll = select.poll()
        for descriptor in (child.connection.fileno(), child.pidfd, self._wake_fd):
            poll.register(descriptor, select.POLLIN)
        is_told_to_stop = False
        while child.process.poll() is None:
            poll.modify(child.connection.fileno(), select.POLLIN | (select.POLLOUT if child.connection.is_waiting else 0))
            ready = {descriptor for descriptor, _ in poll.poll(_LOOK_MS)}
            if self._wake_fd in ready:
                os.eventfd_read(self._wake_fd)
            if child.connection.fileno() in ready:
                self._exchange(child)
            if self._stopping.is_set() and not is_told_to_stop:
                is_told_to_stop = True
                child.begun = child.turned = time.monotonic()
                self._send(Stop())
            self._look(child, is_stopping=is_told_to_stop)
        self._end_child(child)

    def _look(self, child: _Child, *, is_stopping: bool) -> None:
        """Ends a gateway that is broken, does not start, or does not move."""
        now = time.monotonic()
        if now - child.looked > _STOPPED_S:  # this process was stopped, and the gateway with it, as it may be
            child.begun, child.turned = child.begun + now - child.looked, child.turned + now - child.looked
        child.looked = now
        turns = int(lib.ome_engine_port_turns(self._pointer))
        if turns != child.turns:
            child.turns, child.turned = turns, now
        if child.connection.is_unread:
            self._kill(child, "it does not read what it is told")
        elif self._is_broken:
            self._kill(child, "it has sent what it must not, or not read for too long")
        elif is_stopping and now - child.begun > _STOP_S:
            self._kill(child, f"it did not stop within {_STOP_S:g} s")
        elif not child.is_ready and now - child.begun > _START_S:
            self._kill(child, f"it was not ready within {_START_S:g} s")
        elif child.is_ready and not is_stopping and now - child.turned > _FROZEN_S:
            self._kill(child, f"its loop has made no turn for {_FROZEN_S:g} s")

    @staticmethod
    def _kill(child: _Child, why: str) -> None:
        if not child.why:
            child.why = why
            with contextlib.suppress(ProcessLookupError):  # another thread has seen it end just now
                signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def _end_child(self, child: _Child) -> None:
        code = child.process.wait()
        ended = time.monotonic()
        with self._sending:
            self._child = None
        looks = _LAST_LOOKS  # a process of its own making may have the other end, and go on
        while looks > 0 and self._exchange(child):
            looks -= 1
        child.connection.close()
        os.close(child.pidfd)
        self._do_on_port_whenever(self._detach)
        if self._stopping.is_set():
            return
        self._last_failure = child.why or (f"signal {-code}" if code < 0 else f"exit code {code}")
        self._failed_starts = 0 if child.is_ready else self._failed_starts + 1
        if child.is_ready:
            is_killed = code == -signal.SIGKILL and not child.why
            is_short = ended - child.ready_at < (_SHORT_LIFE_KILLED_S if is_killed else _SHORT_LIFE_S)
            self._short_lives = self._short_lives + 1 if is_short else 0
        self._note(LogKind.GATEWAY, act="ended", pid=child.process.pid, reason=self._last_failure)

    # ---- messages ----

    def _send(self, message: FromEngine) -> None:
        with self._sending:
            self._send_to_child(message)

    def _send_to_child(self, message: FromEngine) -> None:
        """Any thread, with the lock: nobody waits for the gateway."""
        if self._child is not None:
            self._child.connection.send(message)
            os.eventfd_write(self._wake_fd, 1)

    def _give_reports(self, request: int, reports: bytes) -> None:
        """The archive's answer, on its thread."""
        self._send(Reports(request, reports))

    def _exchange(self, child: _Child) -> bool:
        """Sends and takes messages, as far as that goes at once. False where there is nothing more to be had."""
        try:
            child.connection.work()
            for message in child.connection.receive():
                self._take(child, message)
        except (EOFError, ConnectionError):
            self._end_after(child, _EXIT_S, "it has closed its end")
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._kill(child, f"what it says means nothing: {error}")
        else:
            return True
        return False

    def _end_after(self, child: _Child, seconds: float, why: str) -> None:
        """One that ends by itself has a moment for it: then it is known how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(seconds)
        if child.process.poll() is None:
            self._kill(child, why)

    def _take(self, child: _Child, message: dict[str, object]) -> None:
        what = message["what"]
        if what == "ready":
            child.is_ready = True
            child.ready_at = child.turned = time.monotonic()
            self._ready.set()
        elif what == "wanted":
            request, session, first, last = (int(str(message[name])) for name in ("request", "session", "first", "last"))
            settled, participant = int(str(message["settled"])), int(str(message["participant"]))
            number_max = self._settings.limits.session_count_max
            if not 1 <= (participant or session) <= number_max or not 1 <= first <= _REPORT_MAX or not 0 <= last <= _REPORT_MAX:
                raise ValueError(f"session {session}, participant {participant}, reports {first} to {last}")
            self._archive.ask(Wanted(request, session, first, last, settled, participant))
        elif what == "note":
            kind, fields = LogKind(str(message["kind"])), message["fields"]
            if kind not in _NOTES or not isinstance(fields, dict):
                raise ValueError(f"a note about {kind}")
            self._note(kind, **fields)
        elif what == "log":
            self._take_line(str(message["name"]), int(str(message["level"])), str(message["text"]))
        else:
            raise ValueError(f"a message named {what!r}")

    def _take_line(self, name: str, level: int, text: str) -> None:
        """Of loggers only those that there are: they are kept for ever."""
        if self._flood.passes("log", _LINES_PER_SECOND):
            known = logging.getLogger(name) if name.startswith("ome.") and name in logging.Logger.manager.loggerDict else _log
            known.log(min(max(level, logging.WARNING), logging.CRITICAL), "gateway: %s", text)
