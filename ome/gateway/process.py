"""The process of a gateway: `python -m ome.gateway.process DESCRIPTOR`, which the engine's process starts (`ome.gateway.remote`).

It has the clients' connections, their sessions and the keys; no journal, and of the engine nothing but the link. It ends when the engine's
process says so or is gone; signals of a terminal or of a service manager are for the engine's process.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from ome._native import CData, ffi, lib
from ome.admission import Admission
from ome.engine import limits_of
from ome.gateway import Gateway, Host
from ome.gateway.archive import Wanted
from ome.gateway.messages import Begin, Instrument, Keys, Reports, ToEngine, ring
from ome.log import LogKind
from ome.supervision import Supervisor
from ome.transport import Listener, ListenerUse

__all__ = ["main"]

_EXIT_LOST = 3  # the engine's process is gone
_TEXT_SIZE_MAX = 4_096  # of a line for the log, which shows no more than half of it


class _RemoteArchive:
    """Asks the engine's process, which has the journal."""

    def __init__(self, engine: ToEngine) -> None:
        self._engine = engine

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def ask(self, wanted: Wanted) -> None:
        self._engine.send("wanted", **dataclasses.asdict(wanted))


class _RemoteLog(logging.Handler):
    """Warnings go into the venue's log."""

    def __init__(self, engine: ToEngine) -> None:
        super().__init__(logging.WARNING)
        self._engine = engine

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._engine.send("log", name=record.name, level=record.levelno, text=record.getMessage()[:_TEXT_SIZE_MAX])
        except OSError:
            os._exit(_EXIT_LOST)


class _Process:
    def __init__(self, engine: ToEngine, begin: Begin) -> None:
        self._engine = engine
        self._begin = begin
        self._own_bell = socket.socket(fileno=begin.own_bell_fd)
        self._give: Callable[[int, bytes], None] = lambda request, reports: None
        limits = limits_of(begin.settings.limits)
        remote = ffi.new("ome_remote_t **")
        if lib.ome_remote_open(limits, begin.ring_slots, begin.engines_fd, begin.gateways_fd, begin.engine_bell_fd, remote) != lib.OME_OK:
            raise MemoryError("no memory for the link to the engine")
        self._remote = remote[0]
        self.supervisor = Supervisor()
        self.admission = Admission(begin.participants, Path(begin.keys_file) if begin.keys_file else None)
        self.listener = Listener.of_descriptor(begin.listen_fd, begin.endpoint)
        pointer = self.listener.serve(
            self._remote,
            ListenerUse.ORDERS,
            connections=begin.connections,
            limits=begin.queues,
            curve=begin.curve,
            listen=lib.ome_remote_listen,
        )
        host = Host(create=partial(self._create, pointer), moment=self._moment, archive=self._archive, note=self._note, wake=self._wake)
        self.gateway = Gateway(begin.settings, host, admission=self.admission, connections=self.listener, supervisor=self.supervisor)
        for definition in begin.instruments:
            self.gateway.add_instrument(definition)

    def run(self) -> None:
        """Until the engine's process says that it is over."""
        self._admit()  # the file may have changed since the keys of `begin` were read
        self.gateway.start()
        self._engine.send("ready")
        while True:
            message = self._engine.receive()
            if isinstance(message, Reports):
                self._give(message.request, message.reports)
            elif isinstance(message, Instrument):
                self.gateway.add_instrument(message.definition)
            elif isinstance(message, Keys):
                self.admission.look()
                self._admit()
            else:
                break
        self.gateway.stop()
        self.listener.close()

    def _create(self, listener: CData, event_fd: int, options: CData, gateway: CData) -> int:
        # The loop sleeps on the bell that the engine rings, and whoever is in this process.
        os.dup2(self._begin.bell_fd, event_fd)
        return int(lib.ome_remote_gateway(self._remote, listener, event_fd, options, gateway))

    def _wake(self, _event_fd: int) -> None:
        ring(self._own_bell)

    def _moment(self) -> tuple[int, int]:
        return int(lib.ome_remote_time_ns(self._remote)), int(lib.ome_remote_cursor(self._remote))

    def _archive(self, give: Callable[[int, bytes], None]) -> _RemoteArchive:
        self._give = give
        return _RemoteArchive(self._engine)

    def _note(self, kind: LogKind, /, **fields: object) -> None:
        self._engine.send("note", kind=kind.value, fields=fields)

    def _admit(self) -> None:
        if self._begin.curve is not None:
            self.listener.admit_keys(self.admission.keys_of_orders())
        self.gateway.check_credentials()


def main() -> None:
    """Serves until it is told to end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lib.ome_thread_set_name(b"ome-gateway")
    engine = ToEngine(Connection(int(sys.argv[1])))
    root = logging.getLogger("ome")
    root.propagate = False
    root.addHandler(_RemoteLog(engine))
    try:
        begin = engine.receive()
        assert isinstance(begin, Begin), "it is the first message"
        if not lib.ome_die_with_parent(begin.parent):
            sys.exit(_EXIT_LOST)
        _Process(engine, begin).run()
    except (EOFError, OSError):
        os._exit(_EXIT_LOST)  # the engine's process is gone: there is nobody to tell, and nothing to save


if __name__ == "__main__":
    main()
