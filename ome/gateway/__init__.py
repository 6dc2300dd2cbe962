"""Order entry. The loop in C moves orders and reports; this package handles rare things: logons, their sessions and reference data
(here), which numbers they have (`registry`), and reports that are no longer in memory (`archive`)."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ome._native import CData, ffi, lib
from ome.admission import OPEN, WRONG_LOGON_MS, Admission, Credential
from ome.codec import EVENT, define_instrument, define_session, encode_commands, logout_message
from ome.codec.wire import command_messages, decode_message, encode_message
from ome.engine import SessionState
from ome.enums import CommandKind, EventKind, LogonFlags, Reason, SessionFlags
from ome.errors import OmeError
from ome.gateway.archive import REPORT_SIZE, Wanted
from ome.gateway.registry import Lease, SessionRegistry
from ome.gateway.settings import GatewaySettings, Host, Throttle
from ome.instruments import Instrument
from ome.keys import Role
from ome.log import LogKind
from ome.supervision import Supervisor
from ome.transport import Listener

__all__ = ["FRAME_SIZE_MAX_BYTES", "Gateway", "GatewaySettings", "Host", "Throttle", "gateway_options", "instrument_definition"]

FRAME_MESSAGE_COUNT_MAX = 256
# A frame of too many messages is to be answered, not cut off: so the transport lets twice as many through.
FRAME_SIZE_MAX_BYTES = 2 * 64 * FRAME_MESSAGE_COUNT_MAX
_TURN_MS = 100
_LOGON_AGAIN_MS = 250  # a connection that has logged on may do so again this often; its answers are long
_MESSAGE_SIZE = 88  # of a logon, the longest that the loop hands over
_ENDPOINT_SIZE = 64
_NAMES_COUNTED = 65_536  # participants in a minute whose logons are counted
_HEARTBEAT_MS_MIN = 100
_HEARTBEAT_MS_MAX = 60_000
_HEARTBEAT_MS_DEFAULT = 10_000
_SESSION_FLAGS = int(SessionFlags.CANCEL_ON_DISCONNECT | SessionFlags.CANCEL_ON_LOGOUT)
_END_KINDS = {Reason.THROTTLED: LogKind.THROTTLE, Reason.NOT_PERMITTED: LogKind.KILL}
"""Of sessions that the venue ended for what they, or their keys, did; the others have logged out or lost their connections."""
_LOGON_FLAGS = int(LogonFlags.NO_TAKEOVER | LogonFlags.ADD_SESSION | LogonFlags.DROP_COPY)


@dataclass(frozen=True, slots=True)
class _Logon:
    """What a client asked for."""

    peer: int
    name: bytes
    number: int
    flags: int
    heartbeat_ms: int
    next_report_sequence: int
    login_id: int
    options: int
    secret: bytes = field(repr=False)
    address: str
    credential: Credential = OPEN

    @property
    def is_copy(self) -> bool:
        """It wants to be a drop copy, which is no session."""
        return bool(self.options & LogonFlags.DROP_COPY)


class _LogonRate:
    """Counts the logons of each participant in the minute that runs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._minute = 0
        self._counts: Counter[bytes] = Counter()

    def allows(self, name: bytes) -> bool:
        """Counts one more, unless it is too much."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        if self._most and self._counts[name] >= self._most:
            return False
        if self._most and (name in self._counts or len(self._counts) < _NAMES_COUNTED):
            self._counts[name] += 1
        return True


def gateway_options(settings: GatewaySettings) -> CData:
    """An ome_gateway_options_t *."""
    options = ffi.new("ome_gateway_options_t *")
    options.history_count = settings.reports_in_memory
    options.message_rate_max, options.in_flight_max = settings.throttle.messages_per_second, settings.throttle.in_flight
    return options


def instrument_definition(number: int, instrument: Instrument) -> bytes:
    """An instrument's message in the answer to a logon."""
    return command_messages(encode_commands([define_instrument(instrument, number)])).tobytes()


class Gateway:
    """The sessions on one listener, and the thread that serves them.

    `admission` decides who may log on; `connections` knows their keys and addresses.
    """

    def __init__(
        self, settings: GatewaySettings, host: Host, *, admission: Admission, connections: Listener, supervisor: Supervisor
    ) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        gateway = ffi.new("ome_gateway_t **")
        options = gateway_options(settings)
        if host.create(self._event_fd, options, gateway) != lib.OME_OK:
            os.close(self._event_fd)
            raise MemoryError("no memory for the gateway, or no engine behind it")
        self._pointer = gateway[0]
        self._settings = settings
        self._host = host
        self._admission = admission
        self._connections = connections
        self._note = host.note
        self._connected: dict[int, _Logon] = {}  # by session
        self._has_other_keys = threading.Event()
        session_count_max = settings.limits.session_count_max
        self._registry = SessionRegistry(self._known(session_count_max), session_count_max, settings.sessions_per_participant, self._look)
        self._logons = _LogonRate(settings.throttle.logons_per_minute)
        self._waiting: dict[int, _Logon] = {}  # by session: for the engine to give it a number that is somebody else's
        self._reference_data = bytearray()
        self._instrument_count = 0
        self._given: deque[tuple[int, bytes]] = deque()  # by the archive, for the loop
        self._archive = host.archive(self._take_reports)
        self._stop = threading.Event()
        self._thread = supervisor.thread("ome-gateway", self._serve, period_s=0.0, attempts=1)

    def _known(self, session_count_max: int) -> Iterator[SessionState]:
        """The sessions that the engine has."""
        for session in range(1, session_count_max + 1):
            look = self._look(session)
            if look.is_defined:
                yield SessionState(
                    session=session,
                    participant=look.participant,
                    participant_name=bytes(ffi.buffer(look.participant_name)).rstrip(b"\0").decode("ascii"),
                    session_number=look.session_number,
                    flags=0,
                    command_sequence=look.command_sequence,
                    report_sequence=int(look.report_sequence),
                    defined_sequence=0,
                )

    @property
    def connected(self) -> CData:
        """By session, 1 for one that is connected: for any thread, as long as the gateway is not closed."""
        return lib.ome_gateway_connected(self._pointer)

    def add_instrument(self, definition: bytes) -> None:
        """The instrument is in the answer to every logon from now on."""
        self._reference_data += definition
        self._instrument_count += 1

    def check_credentials(self) -> None:
        """What clients have proved may no longer count: the sessions for which it does not, end. Any thread."""
        self._has_other_keys.set()
        self._host.wake(self._event_fd)

    def close_entry(self) -> None:
        """Before the venue stops: nothing to be done, since what was taken is in its ring."""

    def start(self) -> None:
        """Serves from now on."""
        self._archive.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after it has sent the last frames."""
        self._stop.set()
        self._host.wake(self._event_fd)
        self._thread.stop()
        self._archive.stop()

    def close(self) -> None:
        """Frees everything but the listener; the venue no longer runs."""
        lib.ome_gateway_destroy(self._pointer)
        os.close(self._event_fd)

    # ---- the thread ----

    def _serve(self) -> bool:
        """Until the stop. False: that is the end."""
        while not self._stop.is_set():
            if not self._turn(_TURN_MS):
                raise OmeError("listener", where="gateway", found="a call on it failed", allowed="a listener that works")
        while self._turn(0) and self._said_something:
            pass
        self._log_out_all()
        return False

    def _end_without_credentials(self) -> None:
        self._has_other_keys.clear()
        for session, logon in tuple(self._connected.items()):
            if not self._admission.is_good(logon.credential):
                lib.ome_gateway_end_session(self._pointer, session, Reason.NOT_PERMITTED)

    def _turn(self, timeout_ms: int) -> bool:
        if self._has_other_keys.is_set():
            self._end_without_credentials()
        while self._given:
            request, reports = self._given.popleft()
            lib.ome_gateway_give_reports(self._pointer, request, ffi.from_buffer("uint8_t[]", reports), len(reports) // REPORT_SIZE)
        outcome = lib.ome_gateway_run(self._pointer, timeout_ms)
        self._said_something = outcome != lib.OME_GATEWAY_IDLE
        self._take_ends()  # those come before what a session does next
        if outcome == lib.OME_GATEWAY_MESSAGE:
            self._take_message()
        elif outcome == lib.OME_GATEWAY_DEFINED:
            self._take_definition()
        elif outcome == lib.OME_GATEWAY_REPORTS_WANTED:
            self._ask_for_reports()
        return bool(outcome != lib.OME_GATEWAY_STOPPED)

    def _ask_for_reports(self) -> None:
        wanted = ffi.new("ome_gateway_wanted_t *")
        lib.ome_gateway_wanted(self._pointer, wanted)
        first, last = int(wanted.next_report_sequence), int(wanted.report_sequence)
        self._archive.ask(Wanted(wanted.request, wanted.session, first, last, int(wanted.settled_sequence), wanted.participant))

    def _take_reports(self, request: int, reports: bytes) -> None:
        """The archive's answer, on its thread."""
        self._given.append((request, reports))
        self._host.wake(self._event_fd)

    def _take_ends(self) -> None:
        while (end := lib.ome_gateway_take_end(self._pointer)).session:
            reason = Reason(end.reason)
            self._note_end(_END_KINDS.get(reason, LogKind.LOGOUT), end.session, reason)

    def _note_logon(self, kind: LogKind, logon: _Logon, **fields: object) -> None:
        name = logon.name.decode("ascii", "backslashreplace")
        if logon.is_copy:
            fields |= {"session": 0, "drop_copy": True}  # its number is the gateway's own
        self._note(kind, participant=name, number=logon.number, login_id=logon.login_id, peer=logon.address, **fields)

    def _note_end(self, kind: LogKind, session: int, reason: Reason) -> None:
        logon = self._connected.pop(session, None)
        if logon is not None and logon.is_copy:
            self._registry.release(logon.name)
        if logon is not None:
            self._note_logon(kind, logon, session=session, reason="CONNECTION_LOST" if reason is Reason.NONE else reason.name)

    def _take_message(self) -> None:
        peer = int(lib.ome_gateway_peer(self._pointer))
        name, fields = decode_message(bytes(ffi.buffer(lib.ome_gateway_message(self._pointer), _MESSAGE_SIZE)))
        if name == "Logon":
            logon = _Logon(
                peer=peer,
                name=fields["participant_name"],
                number=fields["session_number"],
                flags=fields["session_flags"],
                heartbeat_ms=fields["heartbeat_ms"] or _HEARTBEAT_MS_DEFAULT,
                next_report_sequence=fields["next_report_sequence"],
                login_id=fields["login_id"],
                options=fields["logon_flags"],
                secret=fields["secret"],
                address=self._connections.address_of(peer),
            )
            self._log_on(logon)
        else:
            self._log_out(peer, fields["session"])

    def _log_on(self, logon: _Logon) -> None:
        if lib.ome_gateway_session_of(self._pointer, logon.peer):
            lib.ome_gateway_pause(self._pointer, logon.peer, _LOGON_AGAIN_MS)
        credential = self._admission.admit(
            logon.name, logon.secret, self._connections.key_of(logon.peer), role=Role.DROP_COPY if logon.is_copy else Role.TRADE
        )
        if isinstance(credential, Reason):
            lib.ome_gateway_pause(self._pointer, logon.peer, WRONG_LOGON_MS)
        refusal = credential if isinstance(credential, Reason) else self._refusal(logon, credential)
        if refusal is Reason.NONE and not self._logons.allows(logon.name):
            refusal = Reason.THROTTLED
        if refusal is Reason.NONE and logon.is_copy:
            assert isinstance(credential, Credential), "nothing refuses it"
            refusal = self._admit_copy(replace(logon, credential=credential))
            if refusal is Reason.NONE:
                return
        elif refusal is Reason.NONE:
            found = self._registry.log_on(logon.name, logon.number)
            if not isinstance(found, Reason):
                assert isinstance(credential, Credential), "nothing refuses it"
                self._take_lease(replace(logon, credential=credential), found)
                return
            refusal = found
        self._answer(logon, refusal)

    def _take_lease(self, logon: _Logon, lease: Lease) -> None:
        """A free number is valid at once; a number that the engine has for another session, when the engine has accepted the change."""
        if not lease.is_reused and lease.session not in self._waiting:
            self._admit(logon, lease)
            return
        if lease.session not in self._waiting:
            command = define_session(logon.name, participant=lease.participant, session=lease.session, session_number=logon.number)
            status = lib.ome_gateway_submit(self._pointer, ffi.from_buffer(encode_commands([command]).tobytes()), 1)
            if status != lib.OME_OK:
                self._registry.forget(lease.session)
                self._answer(logon, Reason.BUSY if status == lib.OME_FULL else Reason.ENGINE_STOPPED)
                return
        former = self._waiting.get(lease.session)
        if former is not None and former.peer != logon.peer:
            self._answer(former, Reason.BUSY)
        self._waiting[lease.session] = logon

    def _refusal(self, logon: _Logon, credential: Credential) -> Reason:
        if not _HEARTBEAT_MS_MIN <= logon.heartbeat_ms <= _HEARTBEAT_MS_MAX:
            return Reason.BAD_HEARTBEAT
        if logon.flags & ~_SESSION_FLAGS or logon.options & ~_LOGON_FLAGS:
            return Reason.BAD_FLAGS
        if logon.is_copy and (logon.flags or logon.number or logon.options != LogonFlags.DROP_COPY):
            return Reason.BAD_FLAGS
        if logon.options & LogonFlags.ADD_SESSION and (Role.GATEWAY not in credential.roles or self._has_copy(logon.peer)):
            return Reason.NOT_PERMITTED
        return Reason.NONE

    def _take_definition(self) -> None:
        record = ffi.buffer(lib.ome_gateway_event(self._pointer), 64)
        event = np.frombuffer(bytes(record), dtype=EVENT)[0]
        kind = int(event["command_kind"])
        if kind == CommandKind.DEFINE_SESSION:
            session = int(event["session"])
            if session in self._waiting and lib.ome_gateway_is_own_definition(self._pointer):
                self._take_former_definition(session, int(event["kind"]))
                return
            logon = self._waiting.pop(session, None)
            if int(event["kind"]) == EventKind.DEFINED:
                self._registry.define(session, int(event["participant"]))
                if logon is not None:
                    lib.ome_gateway_undefine(self._pointer, session)  # whose number it was
                    self._admit(logon, Lease(int(event["participant"]), session, is_defined=True, is_reused=False))
                return
            lib.ome_gateway_undefine(self._pointer, session)
            self._registry.forget(session)
            if logon is not None:
                self._answer(logon, Reason.SESSION_LIMIT_REACHED)
            return
        self._host.on_defined(kind, int(event["instrument"]), Reason(int(event["reason"])))

    def _take_former_definition(self, session: int, kind: int) -> None:
        """The definition of a session whose number somebody waits for: on its way when the engine was asked, and not the answer."""
        if kind != EventKind.DEFINED:
            lib.ome_gateway_undefine(self._pointer, session)
            self._registry.forget_former(session)

    def _look(self, session: int) -> CData:
        look = ffi.new("ome_gateway_session_t *")
        lib.ome_gateway_look(self._pointer, session, look)
        return look

    def _admit(self, logon: _Logon, lease: Lease) -> None:
        former = int(self._look(lease.session).peer)
        if former and former != logon.peer:
            if logon.options & LogonFlags.NO_TAKEOVER:
                self._answer(logon, Reason.SESSION_IN_USE)
                return
            self._say_logout(former, lease.session, Reason.SESSION_TAKEN_OVER)
            self._note_logon(LogKind.TAKEOVER, logon, session=lease.session, former=self._connected[lease.session].address)
        entry = ffi.new("ome_gateway_logon_t *")
        entry.peer = logon.peer
        entry.heartbeat_ms = logon.heartbeat_ms
        entry.participant = lease.participant
        entry.session_number = logon.number
        entry.flags = logon.flags
        entry.is_added = logon.options & LogonFlags.ADD_SESSION != 0 and not self._has_copy(logon.peer)  # it may be one by now
        entry.is_defined = lease.is_defined
        ffi.memmove(entry.participant_name, logon.name.ljust(16, b"\0"), 16)
        others = [] if entry.is_added else [session for session in self._sessions_of(logon.peer) if session != lease.session]
        if lib.ome_gateway_bind(self._pointer, lease.session, entry) == lib.OME_OK:
            for session in others:
                self._note_end(LogKind.LOGOUT, session, Reason.REQUESTED)
            self._connected[lease.session] = logon
            self._note_logon(LogKind.LOGON, logon, session=lease.session, reports=logon.next_report_sequence)
            self._answer(logon, Reason.NONE, lease)
            lib.ome_gateway_begin(self._pointer, lease.session, logon.next_report_sequence)

    def _is_copy(self, session: int) -> bool:
        """Whether this is the number of a drop copy: those follow the numbers of sessions."""
        return session > self._settings.limits.session_count_max

    def _has_copy(self, peer: int) -> bool:
        """Whether the connection is a drop copy, to which no session is added."""
        return any(map(self._is_copy, self._sessions_of(peer)))

    def _admit_copy(self, logon: _Logon) -> Reason:
        """The connection becomes a drop copy. Its participant keeps its number for as long, though it may have no session yet."""
        participant = self._registry.hold(logon.name)
        if isinstance(participant, Reason):
            return participant
        entry = ffi.new("ome_gateway_logon_t *")
        entry.peer, entry.heartbeat_ms, entry.participant = logon.peer, logon.heartbeat_ms, participant
        number = ffi.new("uint16_t *")
        others = self._sessions_of(logon.peer)
        status = lib.ome_gateway_bind_copy(self._pointer, entry, number)
        if status != lib.OME_OK:
            self._registry.release(logon.name)
            return Reason.SESSION_ALLOWANCE_REACHED if status == lib.OME_FULL else Reason.NONE  # or nobody is there to be told
        for session in others:
            self._note_end(LogKind.LOGOUT, session, Reason.REQUESTED)
        copy = number[0]
        self._connected[copy] = logon
        self._note_logon(LogKind.LOGON, logon, session=copy, reports=logon.next_report_sequence)
        self._answer(logon, Reason.NONE, Lease(participant, copy, is_defined=True, is_reused=False))
        lib.ome_gateway_begin(self._pointer, copy, logon.next_report_sequence)
        return Reason.NONE

    def _answer(self, logon: _Logon, reason: Reason, lease: Lease | None = None) -> None:
        settings = self._settings
        time_ns, engine_sequence = self._host.moment()
        fields: dict[str, object] = {
            "epoch": settings.epoch,
            "server_time_ns": time_ns,
            "engine_sequence": engine_sequence,
            "login_id": logon.login_id,
            "frame_message_count_max": FRAME_MESSAGE_COUNT_MAX,
            "policy": settings.policy,
            "reason": reason,
        }
        if lease is None:
            self._note_logon(LogKind.REFUSAL, logon, reason=reason.name)
            self._send(logon.peer, encode_message("LogonAnswer", **fields))
            return
        look = self._look(lease.session)
        feed, requests = settings.endpoints
        answer = encode_message(
            "LogonAnswer",
            **fields,
            report_sequence=int(look.report_sequence),
            first_report_sequence=1 if settings.has_journal else int(look.first_report_sequence),
            command_sequence=look.command_sequence,
            instrument_count=self._instrument_count,
            heartbeat_ms=logon.heartbeat_ms,
            message_rate_max=settings.throttle.messages_per_second,
            in_flight_max=settings.throttle.in_flight,
            participant=lease.participant,
            session=0 if logon.is_copy else lease.session,
            feed_endpoint=feed.encode("ascii")[:_ENDPOINT_SIZE],
            requests_endpoint=requests.encode("ascii")[:_ENDPOINT_SIZE],
        )
        self._send(logon.peer, answer + self._reference_data)

    def _log_out(self, peer: int, named: int) -> None:
        """The session that the message names, of those of the connection; of one that has one only, that one."""
        sessions = self._sessions_of(peer)
        session = named if named in sessions else sessions[0] if len(sessions) == 1 else 0
        if not session:
            self._send(peer, logout_message(Reason.REQUESTED))
            return
        self._say_logout(peer, session, Reason.REQUESTED)
        lib.ome_gateway_log_out(self._pointer, session)
        self._note_end(LogKind.LOGOUT, session, Reason.REQUESTED)

    def _sessions_of(self, peer: int) -> list[int]:
        sessions = []
        session = int(lib.ome_gateway_session_of(self._pointer, peer))
        while session:
            sessions.append(session)
            session = int(lib.ome_gateway_next_session(self._pointer, session))
        return sessions

    def _log_out_all(self) -> None:
        for session in (*self._registry.sessions(), *filter(self._is_copy, tuple(self._connected))):
            peer = int(self._look(session).peer)
            if peer:
                self._say_logout(peer, session, Reason.ENGINE_STOPPED)
                self._note_end(LogKind.LOGOUT, session, Reason.ENGINE_STOPPED)

    def _say_logout(self, peer: int, session: int, reason: Reason) -> None:
        look = self._look(session)
        progress = {"command_sequence": look.command_sequence, "report_sequence": int(look.report_sequence)}
        self._send(peer, encode_message("Logout", reason=reason, session=0 if self._is_copy(session) else session, **progress))

    def _send(self, peer: int, frame: bytes) -> None:
        """A peer that is gone or does not read gets nothing; the C loop ends its session when it next has a report for it."""
        lib.ome_gateway_send(self._pointer, peer, ffi.from_buffer("uint8_t[]", frame), len(frame))
