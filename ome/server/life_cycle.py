"""The life cycle of a server: it recovers, starts its parts, waits, and stops them in the reverse order."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import select
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ome._native import CData, lib
from ome.admission import Admission
from ome.audit import Audit, AuditFile, NoAudit
from ome.clock import read_clocks
from ome.codec import Records
from ome.config import ServerConfig
from ome.descriptors import connections_that_fit
from ome.engine import EngineState
from ome.enums import CommandKind, Policy, Reason
from ome.errors import InvalidValueError, NotCopyable, OmeError
from ome.gateway import FRAME_SIZE_MAX_BYTES, Gateway, GatewaySettings, Host, Throttle, instrument_definition
from ome.gateway.archive import ReportArchive
from ome.gateway.remote import GatewayProcess
from ome.gateway.requests import REQUEST_SIZE_MAX_BYTES, RequestServer
from ome.log import LogKind, OperatorLog
from ome.messages import Limits
from ome.publisher import Publisher
from ome.recovery import JournalError, JournalReport, Replay
from ome.recovery.checker import Checker
from ome.recovery.directory import hold
from ome.recovery.follower import Follower
from ome.server.curve import check_security, curve_of, has_curve
from ome.server.definitions import Definitions
from ome.server.errors import ServerError
from ome.server.preconditions import change_limits, check_address_space, check_free_space, check_instruments
from ome.server.timing import open_clock
from ome.server.venue import Venue
from ome.storage import StorageWatch
from ome.supervision import Supervisor, ThreadStatus
from ome.transport import Listener, ListenerUse, QueueLimits, ServerCurve

__all__ = ["Server", "StartSummary", "StopSummary"]

# What may wait for connections. A session that is far behind is ended; a subscriber misses frames early, since it can ask for a snapshot.
_ORDERS_QUEUES = QueueLimits(part_bytes=FRAME_SIZE_MAX_BYTES, queue_bytes=24 << 20, pool_bytes=40 << 20)
_FEED_QUEUES = QueueLimits(part_bytes=1_024, queue_bytes=1 << 20, pool_bytes=40 << 20)
_REQUESTS_QUEUES = QueueLimits(part_bytes=REQUEST_SIZE_MAX_BYTES, queue_bytes=1 << 20, pool_bytes=16 << 20)
AnyGateway = Gateway | GatewayProcess

_ATTEMPTS = 5  # of a thread that the venue depends on: 1.5 seconds
_LOOK_S = 0.05  # how often `wait` looks whether the venue still runs


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSummary:
    """What a start found and did. `torn_bytes` were truncated from the end of the journal and saved to a file.

    Of the commands recovered those up to `snapshot_sequence` came from a snapshot, 0 where there was none. `refused_snapshots` newer ones
    could not be used and were set aside; `refused_reason` is what is wrong with the first of them. `events_checked` of the events of the
    replayed commands were in the event log, the same; `events_completed` more were not, and are now. `clock_behind_ns` is how much the
    machine's clock was behind the time of the last command, 0 where it was not. `limits_before` are those
    that the configuration has changed, None where it has changed none.

    `epoch` tells this start from every other, on the wire too; `starts` counts those of the journal, this one included. Each
    address takes up to `connections`, fewer than configured where the limit of file descriptors does not allow more.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recovered:
    """What a recovery found: nothing where there is no journal."""

    report: JournalReport | None = None
    state: EngineState | None = None
    limits_before: Limits | None = None
    seconds: float = 0.0


class Server(NotCopyable):
    """A venue in this process: `start`, then `wait` until somebody calls `stop` from another thread or a signal handler, then `close`.

    Or as a context manager, which starts and closes. `orders_endpoint`, `feed_endpoint` and `requests_endpoint` (empty where there is none)
    are the addresses that it got. A server starts once: after `close`, or a start that failed, make another one. A child of fork cannot use
    its parent's server, and ends nothing of it.

    Raises ConfigError, ServerError, JournalError, JournalIntegrityError or EndpointError when it cannot start. `clocks` gives the steady
    clock and the machine's clock of one moment. With `accept_clock` that clock is right, even where it is far ahead of the journal.

    `log` takes events for the operator, `audit` what is to be recorded: nothing is where there is no journal.
    """

    _use_instead = "its `config` for another server; its journal or a snapshot for its state (ome.recovery.Replay)"

    def __init__(self, config: ServerConfig, *, accept_clock: bool = False, clocks: Callable[[], tuple[int, int]] = read_clocks) -> None:
        self.config = config
        self._clocks = clocks
        self._accepts_clock = accept_clock
        self._stack = contextlib.ExitStack()  # of the parts: the last to start is the first to stop
        self._venue: Venue | None = None
        self._definitions: Definitions | None = None
        self._gateway: AnyGateway | None = None
        self._pid = os.getpid()
        self._once = threading.Lock()  # the thread that starts takes it, and keeps it
        # `stop` writes to it. That may be a signal handler, so it takes no lock that the code it interrupts may hold. Open as long as this.
        self._stop_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._stop_fd)
        self._supervisor = Supervisor(config.directory, self._count_threads)
        self.log = OperatorLog()
        self.audit: Audit = NoAudit()
        self._stop_reason = ""
        self._is_closed = False
        self.orders_endpoint = ""
        self.feed_endpoint = ""
        self.requests_endpoint = ""
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
            self.summary = self._start(progress)
        except BaseException:
            self._stack.close()
            raise
        self._record_start(self.summary)
        return self.summary

    def _start(self, progress: Callable[[int], None] | None) -> StartSummary:
        config = self.config
        venue, follower, found = self._open_venue(progress)
        connections = connections_that_fit(config.connections, 3 if config.requests_endpoint else 2)
        if connections == 0:
            raise ServerError("file descriptors", where="ulimit -n", found="no room for connections", allowed="a higher limit")
        self._admission = Admission(config.participants, config.keys_file)
        orders, feed = Listener(config.orders_endpoint), Listener(config.feed_endpoint)
        requests = Listener(config.requests_endpoint) if config.requests_endpoint else None
        for listener in (orders, feed, *([requests] if requests is not None else [])):
            self._stack.callback(listener.close)  # when nobody works on them, and before the venue closes, in whose counters they count
        self.orders_endpoint, self.feed_endpoint = orders.endpoint, feed.endpoint
        self.requests_endpoint = requests.endpoint if requests is not None else ""
        # Random, so that no two starts are taken for one, whatever the clock says and whichever journal there is.
        epoch = secrets.randbelow((1 << 32) - 1) + 1
        gateway, definitions = self._open_gateway(venue, orders, feed, epoch, connections, has_new_limits=found.limits_before is not None)
        publisher = Publisher(
            venue.pointer,
            feed.serve(
                venue.pointer,
                ListenerUse.FEED,
                connections=connections,
                limits=_FEED_QUEUES,
                curve=curve_of(config, config.feed_endpoint, self._admission.keys_of_feed()),
            ),
            snapshot_levels=config.snapshot_levels,
            epoch=epoch,
            supervisor=self._supervisor,
        )
        venue.after_close(publisher.close)
        self._stack.callback(publisher.stop)
        self._stack.callback(gateway.stop)
        answering = None if requests is None else self._open_requests(venue, gateway, requests, epoch, connections)
        venue.start()
        definitions.send_limits(venue.submit_one)
        last_time_ns = found.state.time_ns if found.state is not None else 0
        clock_behind_ns = max(0, last_time_ns - self._clocks()[1])
        clock = open_clock(
            venue,
            config,
            self._clocks,
            last_time_ns=last_time_ns,
            accepts_clock=self._accepts_clock,
            on_accepted=lambda difference_ns: self.audit.append(LogKind.CLOCK, act="accepted", changed_ns=difference_ns),
        )
        self._watch_storage(venue)
        self._watch_keys(gateway, orders, feed, requests, answering)
        publisher.start()
        gateway.start()
        if answering is not None:
            answering.start()
        definitions.send(venue.submit_one, self._raise_failure, lambda: self.failure is not None)
        if config.accounts_file is not None:
            accounts = definitions.accounts
            accounts.follow(venue.submit_one, lambda count: self._note(LogKind.ACCOUNTS, act="changed", accounts=count))
            self._supervise("ome-accounts", accounts.look, period_s=accounts.PERIOD_S)
        self._supervise("ome-clock", clock.look, period_s=clock.PERIOD_S)
        if follower is not None:
            follower.start()
            self._stack.callback(follower.stop)
        self._check_stored(venue)
        report = found.report
        return StartSummary(
            recovered_commands=found.state.sequence if found.state is not None else 0,
            snapshot_sequence=report.snapshot_sequence if report is not None else 0,
            refused_snapshots=report.snapshots_refused if report is not None else 0,
            refused_reason=report.refused_reason if report is not None else "",
            events_checked=report.events_checked if report is not None else 0,
            events_completed=report.events_missing if report is not None else 0,
            recovery_seconds=found.seconds,
            torn_bytes=report.torn_bytes if report is not None else 0,
            next_sequence=int(venue.look().cursor) + 1,
            instruments=definitions.instrument_count,
            policy=config.policy,
            epoch=epoch,
            starts=int(venue.look().epoch) if report is not None else 1,
            connections=connections,
            limits_before=found.limits_before,
            clock_behind_ns=clock_behind_ns,
        )

    def _open_venue(self, progress: Callable[[int], None] | None) -> tuple[Venue, Follower | None, _Recovered]:
        """Replays the journal where there is one, and wires the venue around the engine."""
        config = self.config
        begun = time.perf_counter()
        found = _Recovered()
        replay = None
        check_address_space(config)
        check_security(config)
        if config.directory is not None:
            self._lock(config.directory)
        if config.policy is not Policy.MEMORY:
            assert config.directory is not None, "the configuration was checked"
            check_free_space(config, config.directory)
            replay = Replay(config.directory, from_snapshot=True, sets_aside=True, checks_events=config.event_log)
            self._stack.callback(replay.close)
            replay.run(progress=progress)
            found = self._recovered(replay)
        self._venue = venue = Venue(config, replay)
        follower = None
        if found.report is not None:
            assert config.directory is not None, "the configuration was checked"
            follower = Follower(
                config.directory,
                venue.durable,
                venue.is_logged,
                every=config.snapshot_commands,
                first=found.report.snapshot_sequence,
                keep=config.snapshots_kept,
                supervisor=self._supervisor,
            )
            self._stack.callback(follower.close)  # when the journal is sealed
            found = dataclasses.replace(found, seconds=time.perf_counter() - begun)
        self._stack.callback(venue.close)
        if found.report is not None:
            assert config.directory is not None, "the configuration was checked"
            self.audit = audit = AuditFile(config.directory, supervisor=self._supervisor)
            audit.start()
            self._stack.callback(audit.close)  # when nobody logs on any more; before the follower closes, whose manifest has its digest
        self._stack.callback(self._record_stop)
        return venue, follower, found

    def _recovered(self, replay: Replay) -> _Recovered:
        """What a replay of the whole journal has found, checked against the configuration."""
        report = replay.report
        if replay.view is None:
            return _Recovered(report=report)
        state = replay.view.state
        check_instruments(replay.view, self.config, is_begun_with=report.configuration_hash == self.config.behaviour_hash)
        return _Recovered(report=report, state=state, limits_before=change_limits(replay, self.config))

    def _open_gateway(
        self, venue: Venue, orders: Listener, feed: Listener, epoch: int, connections: int, *, has_new_limits: bool
    ) -> tuple[AnyGateway, Definitions]:
        config = self.config
        view = venue.view
        self._definitions = definitions = Definitions(config, view, has_new_limits=has_new_limits)
        settings = GatewaySettings(
            epoch=epoch,
            policy=config.policy,
            limits=config.limits,
            has_journal=config.policy is not Policy.MEMORY,
            endpoints=(feed.endpoint, self.requests_endpoint),
            throttle=Throttle(config.messages_per_second, config.messages_in_flight, config.logons_per_minute),
            reports_in_memory=config.reports_in_memory,
            sessions_per_participant=config.sessions_per_participant,
        )
        make = self._gateway_process if config.gateway == "process" else self._gateway_thread
        self._gateway = gateway = make(venue, settings, orders, connections)
        venue.after_close(gateway.close)
        definitions.tell(lambda number, instrument: gateway.add_instrument(instrument_definition(number, instrument)))
        return gateway, definitions

    def _gateway_thread(self, venue: Venue, settings: GatewaySettings, orders: Listener, connections: int) -> Gateway:
        """Order entry in this process."""
        listener = orders.serve(
            venue.pointer, ListenerUse.ORDERS, connections=connections, limits=_ORDERS_QUEUES, curve=self._curve_of_orders()
        )

        def create(event_fd: int, options: CData, gateway: CData) -> int:
            return int(lib.ome_gateway_create(venue.pointer, listener, event_fd, options, gateway))

        host = Host(create=create, moment=venue.moment, archive=self._archive, note=self._note, on_defined=self._on_defined)
        return Gateway(settings, host, admission=self._admission, connections=orders, supervisor=self._supervisor)

    def _gateway_process(self, venue: Venue, settings: GatewaySettings, orders: Listener, connections: int) -> GatewayProcess:
        """Order entry in a process of its own."""
        return GatewayProcess(
            venue.pointer,
            self.config,
            settings,
            listener=orders,
            curve=self._curve_of_orders(),
            connections=connections,
            queues=_ORDERS_QUEUES,
            archive=self._archive,
            note=self._note,
            tell=self.log.event,
            on_defined=self._on_defined,
            supervisor=self._supervisor,
        )

    def _curve_of_orders(self) -> ServerCurve | None:
        return curve_of(self.config, self.config.orders_endpoint, self._admission.keys_of_orders())

    def _archive(self, give: Callable[[int, bytes], None]) -> ReportArchive:
        config = self.config
        directory = None if config.policy is Policy.MEMORY else config.directory
        return ReportArchive(directory, config.limits, give, supervisor=self._supervisor)

    def _on_defined(self, kind: int, number: int, reason: Reason) -> None:
        assert self._definitions is not None, "it was made before"
        self._definitions.on_defined(kind, number, reason)

    def _open_requests(self, venue: Venue, gateway: AnyGateway, listener: Listener, epoch: int, connections: int) -> RequestServer:
        config = self.config
        made = RequestServer(
            venue.pointer,
            gateway.connected,
            listener.serve(
                venue.pointer,
                ListenerUse.REQUESTS,
                connections=connections,
                limits=_REQUESTS_QUEUES,
                curve=curve_of(config, config.requests_endpoint, self._admission.keys_of_orders()),
            ),
            epoch=epoch,
            policy=config.policy,
            limits=config.limits,
            directory=None if config.policy is Policy.MEMORY else config.directory,
            endpoints=(self.feed_endpoint, self.requests_endpoint),
            admission=self._admission,
            connections=listener,
            note=self._note,
            day_end=config.day_end,
            look=venue.look,
            supervisor=self._supervisor,
        )
        self._stack.callback(made.close)  # it uses venue and gateway, so it is gone before them
        self._stack.callback(made.stop)
        return made

    def _supervise(self, name: str, work: Callable[[], object], *, period_s: float) -> None:
        """A thread that the venue cannot do without, until it closes."""
        thread = self._supervisor.thread(name, work, period_s=period_s, attempts=_ATTEMPTS)
        thread.start()
        self._stack.callback(thread.stop)

    def _count_threads(self, failing: int, failures: int) -> None:
        if self._venue is not None:
            self._venue.set_threads(failing, failures)

    def _watch_storage(self, venue: Venue) -> None:
        """Looks at once, before anybody sends orders, and then goes on looking."""
        config = self.config
        if config.policy is Policy.MEMORY or config.low_water_bytes == 0:
            return
        assert config.directory is not None, "the configuration was checked"
        watch = StorageWatch(config.directory, config.low_water_bytes, venue.set_storage)
        watch.look()
        self._supervise("ome-storage", watch.look, period_s=watch.PERIOD_S)

    def _watch_keys(
        self, gateway: AnyGateway, orders: Listener, feed: Listener, requests: Listener | None, answering: RequestServer | None
    ) -> None:
        """Follows the keys file: who is no longer admitted goes within a second."""
        config, admission = self.config, self._admission
        if config.keys_file is None:
            return

        def admit() -> None:
            if has_curve(config, config.orders_endpoint):
                orders.admit_keys(admission.keys_of_orders())
            if has_curve(config, config.feed_endpoint):
                feed.admit_keys(admission.keys_of_feed())
            if requests is not None and has_curve(config, config.requests_endpoint):
                requests.admit_keys(admission.keys_of_orders())
            gateway.check_credentials()
            if answering is not None:
                answering.check_credentials()
            self._note(LogKind.KEYS, act="changed", **admission.counts)

        admission.on_change = admit
        self._supervise("ome-keys", admission.look, period_s=Admission.PERIOD_S)

    def _check_stored(self, venue: Venue) -> None:
        """Checks stored segments in the background, as long as it runs."""
        config = self.config
        if config.policy is Policy.MEMORY or not config.check_bytes_per_second:
            return
        assert config.directory is not None, "the configuration was checked"
        checker = Checker(config.directory, config.check_bytes_per_second, venue.set_check, supervisor=self._supervisor)
        checker.start()
        self._stack.callback(checker.stop)

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

    def _note(self, kind: LogKind, /, **fields: object) -> None:
        """For the operator and for the auditor."""
        self.log.event(kind, **fields)
        self.audit.append(kind, **fields)

    def _record_start(self, summary: StartSummary) -> None:
        fields = {"sequence": summary.next_sequence, "starts": summary.starts, "epoch": summary.epoch, "policy": summary.policy}
        self.log.event(LogKind.STARTED, **fields, orders=self.orders_endpoint, feed=self.feed_endpoint)
        self.audit.append(LogKind.STARTED, **fields, configuration=f"{self.config.behaviour_hash:016x}")

    def _record_stop(self) -> None:
        """Of a server that has started; the sessions have ended."""
        if self.summary is not None:
            self.audit.append(LogKind.STOPPED, reason=self._stop_reason)

    # ---- while it runs ----

    @property
    def failure(self) -> OmeError | None:
        """Why the venue has stopped by itself, or None while it runs, before it started and after it was closed."""
        if self._venue is None or not self._venue.is_open:
            return None
        return self._venue.failure or self._supervisor.error

    @property
    def threads(self) -> tuple[ThreadStatus, ...]:
        """The state of the background threads."""
        return self._supervisor.statuses

    def submit(self, commands: Records) -> int:
        """Sequences commands that do not come over the wire, as ome.codec.COMMAND records, of the embedder or for a participant.

        A command of several records is to be whole. Returns ome_status_t: OME_OK, OME_FULL while the ring is full, OME_STOPPED. The server
        must run. Raises InvalidValueError for a DefineSession, and sends nothing: the numbers of sessions are the gateway's, which gives
        them at a logon.
        """
        if (commands["kind"] == CommandKind.DEFINE_SESSION).any():
            raise InvalidValueError(
                "command", where="Server.submit", found="DefineSession", allowed="any other: a session is defined when its client logs on"
            )
        assert self._venue is not None, "the server runs"
        assert self._definitions is not None, "the server runs"
        return self._definitions.submit(commands, self._venue.submit)

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
            self.log.tell_suppressed()
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
        venue = self._venue
        if venue is not None and venue.is_open and self.summary is not None:
            if self._gateway is not None:
                self._gateway.close_entry()
            venue.drain(lambda: self.failure is not None)
            if self.failure is None:
                view = venue.view
                summary = StopSummary(state=view.state, state_hash=view.state_hash)
            self._stop_reason = "asked" if self.failure is None else str(self.failure)
        self._stack.close()
        if self._stop_reason and not self._is_closed:
            self._is_closed = True
            self.log.tell_suppressed(all_of_them=True)
            self.log.event(LogKind.STOPPED, reason=self._stop_reason, **({} if summary is None else {"sequence": summary.state.sequence}))
        return summary
