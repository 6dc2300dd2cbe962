"""A running venue: configuration in; recovery, stages, gateway and feed out."""

from __future__ import annotations

import contextlib
import difflib
import os
import resource
import secrets
import select
import threading
import time
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ome._native import CData, ffi, lib
from ome.clock import CLOCK_REQUEST_FILE, Clock, ClockView, Schedule, read_clocks
from ome.codec import Records, define_instrument, encode_commands
from ome.config import LIMIT_KEYS, ConfigError, ServerConfig, listed
from ome.descriptors import connections_that_fit
from ome.engine import EngineState, EngineView, limits_of
from ome.enums import CommandKind, Policy, Reason
from ome.errors import InvalidValueError, NotCopyable, OmeError
from ome.gateway import FRAME_SIZE_MAX_BYTES, Gateway
from ome.instruments import Instrument
from ome.messages import Command, DefineLimits, Limits
from ome.metrics import COUNTERS_FILE
from ome.publisher import Publisher
from ome.recovery import JournalError, JournalIntegrityError, JournalReport, Replay
from ome.recovery.checker import Checker
from ome.recovery.directory import hold
from ome.recovery.follower import Follower
from ome.storage import StorageWatch
from ome.supervision import Supervisor, ThreadStatus
from ome.transport import Listener, QueueLimits

__all__ = ["Server", "ServerError", "StartSummary", "StopSummary"]

_WAITS = {"spin": 1, "yield": 2, "block": 3}
_DEFINE_TIMEOUT_S = 60.0
_SLOT_BYTES = 64
_READERS = 2  # of published events: gateway and feed
# What may wait for connections. A session that is far behind is ended; a subscriber misses frames early, since it can ask for a snapshot.
_ORDERS_QUEUES = QueueLimits(part_bytes=FRAME_SIZE_MAX_BYTES, queue_bytes=24 << 20, pool_bytes=40 << 20)
_FEED_QUEUES = QueueLimits(part_bytes=1_024, queue_bytes=1 << 20, pool_bytes=40 << 20)
_DAY_NS = 86_400 * 1_000_000_000
_GAP_NS = 30 * _DAY_NS  # between two runs: more may be a clock that is wrong
_ATTEMPTS = 5  # of a thread that the venue depends on: 1.5 seconds
_LOOK_S = 0.05  # how often `wait` looks whether the venue still runs


class ServerError(OmeError):
    """The venue cannot start, or has stopped: its directory is in use, or a call on its journal failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSummary:
    """What a start found and did. `torn_bytes` were cut from the end of the journal and kept beside it.

    Of the commands recovered those up to `snapshot_sequence` came from a snapshot, 0 where there was none. `refused_snapshots` newer ones
    could not be used and were set aside; `refused_reason` is what is wrong with the first of them. `events_checked` of the events of the
    replayed commands were in the event log, the same; `events_completed` more were not, and are now. `clock_behind_ns` is how much the
    machine's clock was behind the time of the last command, 0 where it was not. `limits_before` are those
    that the configuration has changed, None where it has changed none.

    `epoch` tells this start from every other, on the wire too; `starts` counts those of the journal, this one included. Each of the two
    addresses takes up to `connections`, fewer than configured where the limit of file descriptors does not allow more.
    """

    recovered_commands: int
    snapshot_sequence: int
    refused_snapshots: int
    refused_reason: str
    events_checked: int
    events_completed: int
    recovery_seconds: float
    torn_bytes: int
    next_sequence: int
    instruments: int
    policy: Policy
    epoch: int
    starts: int
    connections: int
    limits_before: Limits | None
    clock_behind_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSummary:
    """Where the engine stood when the venue stopped."""

    state: EngineState
    state_hash: int


class Server(NotCopyable):
    """A venue in this process: `start`, then `wait` until somebody calls `stop` from another thread or a signal handler, then `close`.

    Or as a context manager, which starts and closes. `orders_endpoint` and `feed_endpoint` are the addresses that it got. A server starts
    once: after `close`, or a start that failed, make another one. A child of fork cannot use its parent's server, and ends nothing of it.

    Raises ConfigError, ServerError, JournalError, JournalIntegrityError or EndpointError when it cannot start. `clocks` gives the steady
    clock and the machine's clock of one moment. With `accept_clock` that clock is right, even where it is far ahead of the journal.
    """

    _use_instead = "its `config` for another server; its journal or a snapshot for its state (ome.recovery.Replay)"

    def __init__(self, config: ServerConfig, *, accept_clock: bool = False, clocks: Callable[[], tuple[int, int]] = read_clocks) -> None:
        self.config = config
        self._clocks = clocks
        self._accepts_clock = accept_clock
        self._stack = contextlib.ExitStack()
        self._venue: CData = None
        self._pid = os.getpid()
        self._once = threading.Lock()  # whoever starts takes it, and keeps it
        # `stop` writes to it. That may be a signal handler, so it takes no lock that the code it interrupts may hold. Open as long as this.
        self._stop_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._stop_fd)
        self._supervisor = Supervisor(config.directory, self._count_threads)
        self._defined = threading.Condition()
        self._definitions_left = 0
        self._refused: list[str] = []
        self._limits_before: Limits | None = None
        self._follower: Follower | None = None
        self._listeners: list[Listener] = []
        self._instruments: dict[int, Instrument] = {}
        self.orders_endpoint = ""
        self.feed_endpoint = ""
        self.summary: StartSummary | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- start ----

    def start(self, progress: Callable[[int], None] | None = None) -> StartSummary:
        """Recovers, wires everything, opens for orders. `progress` gets the sequence that recovery has reached.

        Raises ServerError where this server was started before: then nothing changes.
        """
        self._require_own_process()
        if not self._once.acquire(blocking=False):
            found = "one that was started before"
            raise ServerError("server", where=self.config.source, found=found, allowed="a server starts once: make another Server")
        try:
            return self._start(progress)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, progress: Callable[[int], None] | None) -> StartSummary:
        config = self.config
        report, seconds, state = self._open_venue(progress)
        connections = connections_that_fit(config.connections)
        if connections == 0:
            raise ServerError("file descriptors", where="ulimit -n", found="no room for connections", allowed="a higher limit")
        orders = self._listen(config.orders_endpoint)
        feed = self._listen(config.feed_endpoint)
        self.orders_endpoint, self.feed_endpoint = orders.endpoint, feed.endpoint
        # Random, so that no two starts are taken for one, whatever the clock says and whichever journal there is.
        epoch = secrets.randbelow((1 << 32) - 1) + 1
        view = EngineView(lib.ome_venue_engine(self._venue))
        self._gateway = Gateway(
            self._venue,
            orders.serve(self._venue, is_feed=False, connections=connections, limits=_ORDERS_QUEUES),
            epoch=epoch,
            policy=config.policy,
            session_count_max=config.limits.session_count_max,
            sessions_per_participant=config.sessions_per_participant,
            sessions=view.sessions,
            participants=config.participants,
            submit=self._submit,
            look=self._look,
            on_defined=self._on_defined,
            supervisor=self._supervisor,
        )
        self._publisher = Publisher(
            self._venue,
            feed.serve(self._venue, is_feed=True, connections=connections, limits=_FEED_QUEUES),
            snapshot_levels=config.snapshot_levels,
            epoch=epoch,
            supervisor=self._supervisor,
        )
        definitions = self._definitions(view)
        if lib.ome_venue_start(self._venue) != lib.OME_OK:
            raise MemoryError("no memory for the venue's threads")
        if definitions and isinstance(definitions[0], DefineLimits):
            # Before any other command: from here on a replay has an engine of these sizes. Its answer comes when the gateway runs.
            self._submit_one(definitions.pop(0))
            self._definitions_left = 1
        last_time_ns = state.time_ns if state is not None else 0
        clock_behind_ns = max(0, last_time_ns - self._clocks()[1])
        clock = self._clock(last_time_ns)
        self._watch_storage()
        self._publisher.start()
        self._gateway.start()
        self._define(definitions)
        self._supervise("ome-clock", clock.look, period_s=clock.PERIOD_S)
        if self._follower is not None:
            self._follower.start()
            self._stack.callback(self._follower.stop)
        if config.policy is not Policy.MEMORY and config.check_bytes_per_second:
            assert config.directory is not None, "the configuration was checked"
            checker = Checker(
                config.directory,
                config.check_bytes_per_second,
                lambda *counts: lib.ome_venue_set_check(self._venue, *counts),
                supervisor=self._supervisor,
            )
            checker.start()
            self._stack.callback(checker.stop)
        self.summary = StartSummary(
            recovered_commands=state.sequence if state is not None else 0,
            snapshot_sequence=report.snapshot_sequence if report is not None else 0,
            refused_snapshots=report.snapshots_refused if report is not None else 0,
            refused_reason=report.refused_reason if report is not None else "",
            events_checked=report.events_checked if report is not None else 0,
            events_completed=report.events_missing if report is not None else 0,
            recovery_seconds=seconds,
            torn_bytes=report.torn_bytes if report is not None else 0,
            next_sequence=int(self._look().cursor) + 1,
            instruments=len(self._instruments),
            policy=config.policy,
            epoch=epoch,
            starts=int(self._look().epoch) if report is not None else 1,
            connections=connections,
            limits_before=self._limits_before,
            clock_behind_ns=clock_behind_ns,
        )
        return self.summary

    def _clock(self, last_time_ns: int) -> Clock:
        """Follows the machine's clock once, before anybody sends orders, and ends the day that was over while nobody ran.

        Raises ServerError where orders would expire by a clock that may be wrong.
        """
        config = self.config
        view = self._follow_clock(*self._clocks())
        gap_ns = view.time_ns - last_time_ns
        if gap_ns > _GAP_NS and 0 < self._look().deadline_ns <= view.time_ns and not self._accepts_clock:
            raise ServerError(
                "clock",
                where=config.source,
                found=f"{gap_ns // _DAY_NS:,} days after the journal's last command, so that orders with a deadline would expire",
                allowed=f"at most {_GAP_NS // _DAY_NS} days; set the machine's clock right, or if it is, start with --accept-clock",
            )
        if config.directory is not None:
            (config.directory / CLOCK_REQUEST_FILE).unlink(missing_ok=True)
        schedule = Schedule(
            self._submit_one,
            lambda: int(self._look().deadline_ns),
            day_end=config.day_end,
            now_ns=view.time_ns,
        )
        schedule.catch_up(last_time_ns)
        return Clock(schedule, self._follow_clock, self._accept_clock, directory=config.directory, read=self._clocks)

    def _follow_clock(self, steady_ns: int, wall_ns: int) -> ClockView:
        view = ffi.new("ome_venue_clock_view_t *")
        lib.ome_venue_follow_clock(self._venue, steady_ns, wall_ns, view)
        return _clock_view(view)

    def _accept_clock(self, steady_ns: int, wall_ns: int) -> ClockView:
        view = ffi.new("ome_venue_clock_view_t *")
        lib.ome_venue_accept_clock(self._venue, steady_ns, wall_ns, view)
        return _clock_view(view)

    def _supervise(self, name: str, work: Callable[[], object], *, period_s: float) -> None:
        """A thread that the venue cannot do without, until it closes."""
        thread = self._supervisor.thread(name, work, period_s=period_s, attempts=_ATTEMPTS)
        thread.start()
        self._stack.callback(thread.stop)

    def _count_threads(self, failing: int, failures: int) -> None:
        if self._venue is not None:
            lib.ome_venue_set_threads(self._venue, failing, failures)

    def _open_venue(self, progress: Callable[[int], None] | None) -> tuple[JournalReport | None, float, EngineState | None]:
        """Replays the journal where there is one, and wires the venue around the engine."""
        config = self.config
        limits = config.limits
        replay = report = state = None
        begun = time.perf_counter()
        _check_address_space(config)
        if config.policy is not Policy.MEMORY:
            assert config.directory is not None, "the configuration was checked"
            self._lock(config.directory)
            _check_free_space(config, config.directory)
            replay = Replay(config.directory, from_snapshot=True, sets_aside=True, checks_events=config.event_log)
            self._stack.callback(replay.close)
            replay.run(progress=progress)
            report = replay.report
            if replay.view is not None:
                state = replay.view.state
                _check_instruments(replay.view, config, is_begun_with=report.configuration_hash == config.behaviour_hash)
                self._limits_before = _change_limits(replay, config)
        elif config.directory is not None:
            self._lock(config.directory)
        engine = ffi.new("ome_engine_t **")
        if lib.ome_engine_create(limits_of(limits), engine) != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {limits}")
        venue = ffi.new("ome_venue_t **")
        view = ffi.new("ome_venue_view_t *")
        directory = ffi.NULL if replay is None else ffi.new("char[]", os.fsencode(config.directory or ""))
        counters = ffi.NULL if config.directory is None else ffi.new("char[]", os.fsencode(config.directory / COUNTERS_FILE))
        made_with = ffi.new(
            "ome_venue_config_t *",
            {
                "ring_slot_count": config.ring_slots,
                "stream_slot_count": config.stream_slots,
                "reader_count": _READERS,
                "wait_strategy": _WAITS[config.wait],
                "policy": config.policy,
                "batch_count": config.flush_records,
                "counters_path": counters,
                "directory": directory,
                "segment_size_bytes": config.segment_bytes,
                "delay_ns": config.flush_delay_ms * 1_000_000,
                "configuration_hash": config.behaviour_hash,
            },
        )
        status = lib.ome_venue_create(ffi.NULL if replay is None else replay.pointer, engine[0], made_with, venue, view)
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED, lib.OME_NOT_FOUND) and replay is not None:
            raise JournalIntegrityError(replay.report)
        if status != lib.OME_OK:
            raise _venue_error(view, status, config)
        self._venue = venue[0]
        if report is not None:
            assert config.directory is not None, "the configuration was checked"
            self._follower = Follower(
                config.directory,
                self._durable,
                self._is_logged,
                every=config.snapshot_commands,
                first=report.snapshot_sequence,
                keep=config.snapshots_kept,
                supervisor=self._supervisor,
            )
            self._stack.callback(self._follower.close)  # when the journal is sealed
        self._stack.callback(self._close_venue)
        return report, time.perf_counter() - begun if replay is not None else 0.0, state

    def _listen(self, endpoint: str) -> Listener:
        listener = Listener(endpoint)
        self._listeners.append(listener)
        return listener

    def _durable(self) -> int:
        """The last command on disk."""
        return int(self._look().durable)

    def _is_logged(self, event_count: int) -> bool:
        """Whether the event log, where there is one, has so many events on disk."""
        return int(self._look().events_durable) >= event_count

    def _watch_storage(self) -> None:
        """Looks at once, before anybody sends orders, and then goes on looking."""
        config = self.config
        if config.policy is Policy.MEMORY or config.low_water_bytes == 0:
            return
        assert config.directory is not None, "the configuration was checked"
        watch = StorageWatch(
            config.directory, config.low_water_bytes, lambda free, storage: lib.ome_venue_set_storage(self._venue, free, storage)
        )
        watch.look()
        self._supervise("ome-storage", watch.look, period_s=watch.PERIOD_S)

    def _lock(self, directory: Path) -> None:
        """One server to a directory."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(hold(directory))
        except OSError as error:
            raise ServerError(
                "journal.directory", where=self.config.source, found=str(error), allowed="a directory that can be written to"
            ) from None
        except JournalError as error:
            raise ServerError("journal.directory", where=error.where, found=error.found, allowed=error.allowed) from None

    def _definitions(self, view: EngineView) -> list[Command]:
        """What the configuration defines and the journal does not."""
        state = view.state
        definitions: list[Command] = []
        if state.sequence == 0 or self._limits_before is not None:
            definitions.append(DefineLimits(**{name: getattr(self.config.limits, name) for name in Limits.__slots__}))
        known = view.instruments
        for number, instrument in known.values():
            self._instruments[number] = instrument
            self._gateway.add_instrument(number, instrument)
        for wanted in self.config.instruments:
            if wanted.symbol in known:
                continue
            number = len(self._instruments) + 1
            self._instruments[number] = wanted
            definitions.append(define_instrument(wanted, number))
        return definitions

    def _define(self, definitions: list[Command]) -> None:
        """Sends the definitions through the ring like every command, and waits until they have taken effect."""
        with self._defined:
            self._definitions_left += len(definitions)
        for command in definitions:
            if not self._submit_one(command):
                break
        deadline = time.monotonic() + _DEFINE_TIMEOUT_S
        with self._defined:
            while self._definitions_left and not self._refused and self.failure is None and time.monotonic() < deadline:
                self._defined.wait(0.1)
        self._raise_failure()
        if self._definitions_left or self._refused:
            raise ServerError(
                "definitions",
                where=self.config.source,
                found=listed(self._refused) or "no answer",
                allowed="definitions that the engine takes",
            )

    def _on_defined(self, kind: int, instrument: int, reason: Reason) -> None:
        with self._defined:
            if reason is not Reason.NONE:
                self._refused.append(f"{CommandKind(kind).name} {instrument}: {reason.name}")
            elif kind == CommandKind.DEFINE_INSTRUMENT:
                self._gateway.add_instrument(instrument, self._instruments[instrument])
            self._definitions_left -= 1
            self._defined.notify_all()

    # ---- while it runs ----

    @property
    def failure(self) -> OmeError | None:
        """Why the venue has stopped by itself, or None while it runs, before it started and after it was closed."""
        if self._venue is None:
            return None
        view = self._look()
        if view.is_failed:
            return _venue_error(view, lib.OME_IO_ERROR, self.config)
        return self._supervisor.error

    @property
    def threads(self) -> tuple[ThreadStatus, ...]:
        """How the background threads stand."""
        return self._supervisor.statuses

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until `stop` is called, or for `timeout` seconds; True when it was.

        Raises an OmeError when the venue has stopped by itself: ServerError, or ThreadFailedError where a thread was given up.
        """
        self._require_own_process()
        poll = select.poll()
        poll.register(self._stop_fd, select.POLLIN)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if poll.poll(max(0.0, left) * 1_000):
                return True
            self._raise_failure()
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def stop(self) -> None:
        """Asks `wait` to return. Any thread, or a signal handler: takes no lock."""
        if os.getpid() == self._pid:
            os.eventfd_write(self._stop_fd, 1)

    def _require_own_process(self) -> None:
        if os.getpid() != self._pid:
            found = f"process {os.getpid()}, made by fork"
            raise ServerError("server", where=self.config.source, found=found, allowed=f"process {self._pid}, which made the server")

    def _submit(self, commands: Records) -> int:
        data = commands.tobytes()
        return int(lib.ome_venue_submit(self._venue, ffi.from_buffer(data), len(commands)))

    def _submit_one(self, command: Command) -> bool:
        """Sends a command of the server's own. False where the venue has stopped; waits while the ring is full."""
        while (status := self._submit(encode_commands([command]))) == lib.OME_FULL:
            time.sleep(0.001)
        return bool(status == lib.OME_OK)

    def _look(self) -> CData:
        view = ffi.new("ome_venue_view_t *")
        lib.ome_venue_look(self._venue, view)
        return view

    def _raise_failure(self) -> None:
        failure = self.failure
        if failure is not None:
            raise failure

    # ---- stop ----

    def close(self) -> StopSummary | None:
        """Takes no more orders, finishes what was taken, tells the clients, seals the journal.

        Returns where the engine stood; None where it never ran. In a child of fork it does nothing: the venue is its parent's.
        """
        if os.getpid() != self._pid:
            return None
        summary = None
        if self._venue is not None and self.summary is not None:
            lib.ome_venue_stop(self._venue)
            while not self._look().is_drained and self.failure is None:
                time.sleep(0.001)
            if self.failure is None:
                view = EngineView(lib.ome_venue_engine(self._venue))
                summary = StopSummary(state=view.state, state_hash=view.state_hash)
        self._stack.close()
        return summary

    def _close_venue(self) -> None:
        """Ends the threads that read the stream, then their connections, then the venue."""
        if hasattr(self, "_gateway"):
            self._gateway.stop()
        if hasattr(self, "_publisher"):
            self._publisher.stop()
        for listener in self._listeners:  # they count in the venue's counters
            listener.close()
        lib.ome_venue_destroy(self._venue)
        self._venue = None
        if hasattr(self, "_gateway"):
            self._gateway.close()
        if hasattr(self, "_publisher"):
            self._publisher.close()


def _change_limits(replay: Replay, config: ServerConfig) -> Limits | None:
    """Moves the engine to the limits of the configuration; DefineLimits has to follow. Gives those before, None where they are the same."""
    assert replay.view is not None, "the journal has commands"
    before = replay.view.limits
    if before == config.limits:
        return None
    try:
        replay.resize(config.limits)
    except InvalidValueError as error:
        found, allowed = str(error.found), error.allowed
        for field, key in LIMIT_KEYS.items():
            found, allowed = found.replace(field, key), allowed.replace(field, key)
        raise ConfigError("limits", where=config.source, found=found, allowed=allowed) from None
    return before


def _clock_view(view: CData) -> ClockView:
    return ClockView(
        time_ns=int(view.time_ns), difference_ns=int(view.difference_ns), jumps=int(view.jump_count), is_held=bool(view.is_held)
    )


def _check_free_space(config: ServerConfig, directory: Path) -> None:
    """The segment that the start opens and the next one, prepared ahead, have room: a disk that fills stops the venue."""
    status = os.statvfs(directory)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < 2 * config.segment_bytes:
        raise ServerError(
            "free space",
            where=str(directory),
            found=f"{free_bytes:,} bytes",
            allowed=f"{2 * config.segment_bytes:,} or more, for two segments of journal.segment_bytes = {config.segment_bytes:,}",
        )


def _check_address_space(config: ServerConfig) -> None:
    """What [limits] reserves can be reserved, and an engine that is full fits the machine's memory."""
    engine_bytes = int(lib.ome_engine_size_bytes(limits_of(config.limits)))
    engines = 1 if config.policy is Policy.MEMORY else 2  # the follower has one
    wanted_bytes = engines * engine_bytes + _SLOT_BYTES * (config.ring_slots + config.stream_slots)
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    used_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    if engine_bytes > memory_bytes:
        raise ServerError(
            "limits",
            where=config.source,
            found=f"{engine_bytes:,} bytes for an engine that is full",
            allowed=f"at most the {memory_bytes:,} bytes of memory of this machine: lower limits.orders or limits.levels",
        )
    if most_bytes != resource.RLIM_INFINITY and wanted_bytes > most_bytes - used_bytes:
        raise ServerError(
            "limits",
            where=config.source,
            found=f"{wanted_bytes:,} bytes of address space to reserve",
            allowed=f"at most {max(0, most_bytes - used_bytes):,}, what this process has left (ulimit -v): raise that, or lower [limits]",
        )


def _check_new_instruments(config: ServerConfig, known: Collection[str]) -> None:
    """An instrument stays for good, so a venue that exists gets a new one only when that is asked for: a symbol may be misspelt."""
    has = sorted(known)
    new = [wanted.symbol for wanted in config.instruments if wanted.symbol not in known]
    if not new or config.add_instruments:
        return
    closest = difflib.get_close_matches(new[0], has, n=1)
    hint = f"; is {new[0]} to be {closest[0]}?" if closest else ""
    raise ConfigError(
        "instruments",
        where=config.source,
        found=listed(new),
        allowed=f"those that the journal has ({listed(has)}{hint}), or new ones with --add-instruments (server.add_instruments = true)",
    )


def _check_instruments(view: EngineView, config: ServerConfig, *, is_begun_with: bool) -> None:
    """An instrument stays as it was defined. `is_begun_with`: the last start had the same configuration, and may not have defined all."""
    known = view.instruments
    if not is_begun_with:
        _check_new_instruments(config, known)
    for wanted in config.instruments:
        if wanted.symbol in known and known[wanted.symbol][1] != wanted:
            has = known[wanted.symbol][1]
            raise ConfigError(f"instrument {wanted.symbol}", where=config.source, found=wanted, allowed=f"as the journal has it: {has}")
    count = len(known.keys() | {wanted.symbol for wanted in config.instruments})
    if count > config.limits.instrument_count_max:
        allowed = f"at most limits.instruments = {config.limits.instrument_count_max}, the {len(known)} of the journal included"
        raise ConfigError("instruments", where=config.source, found=count, allowed=allowed)


def _venue_error(view: CData, status: int, config: ServerConfig) -> OmeError:
    if view.error_call != ffi.NULL:
        call = ffi.string(view.error_call).decode()
        path = os.fsdecode(ffi.string(view.error_path)) if view.error_path != ffi.NULL else ""
        found = os.strerror(view.error_number)
        safe = "no command was taken since the start"
        if view.is_failed:
            beyond = "no later one was acknowledged" if config.policy is Policy.COMMIT else "later ones may be lost"
            safe = f"everything up to command {view.durable:,} is on disk, {beyond}"
        allowed = f"success; {safe}"
        return ServerError(f"call {call}", where=path, found=found, allowed=allowed)
    if status == lib.OME_IO_ERROR:
        return ServerError(
            "counters file", where=str(config.directory), found=os.strerror(ffi.errno), allowed="a directory that can be written to"
        )
    return ServerError("venue", where=config.source, found=f"status {status}", allowed="a valid configuration, and memory for it")
