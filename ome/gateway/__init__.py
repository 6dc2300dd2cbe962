"""Order entry. The loop in C moves orders and reports; this module handles rare things: logons, their sessions and reference data."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import EVENT, Records, define_instrument, define_session, encode_commands, logout_message
from ome.codec.wire import command_messages, decode_message, encode_message
from ome.engine import SessionState
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.errors import OmeError
from ome.gateway.registry import Lease, SessionRegistry
from ome.instruments import Instrument
from ome.supervision import Supervisor

__all__ = ["FRAME_SIZE_MAX_BYTES", "Gateway"]

FRAME_MESSAGE_COUNT_MAX = 256
# A frame of too many messages is to be answered, not cut off: so the transport lets twice as many through.
FRAME_SIZE_MAX_BYTES = 2 * 64 * FRAME_MESSAGE_COUNT_MAX
_TURN_MS = 100
_LOGON_AGAIN_MS = 250  # a connection that has logged on may do so again this often; its answers are long
_HEARTBEAT_MS_MIN = 100
_HEARTBEAT_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class _Logon:
    """What a client asked for."""

    peer: int
    name: bytes
    number: int
    heartbeat_ms: int


class Gateway:
    """The sessions on one listener, and the thread that serves them.

    `listener` is an ome_listener_t *. `submit` gives commands to the venue and returns its status; `look` gives an ome_venue_view_t *.
    `participants` are those admitted; none given admits any. `on_defined` is called with the fields of each definition's event but those
    of sessions, on the gateway's thread.
    """

    def __init__(
        self,
        venue: CData,
        listener: CData,
        *,
        epoch: int,
        policy: Policy,
        session_count_max: int,
        sessions_per_participant: int,
        sessions: Iterable[SessionState],
        participants: Iterable[str],
        submit: Callable[[Records], int],
        look: Callable[[], CData],
        on_defined: Callable[[int, int, Reason], None],
        supervisor: Supervisor,
    ) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        gateway = ffi.new("ome_gateway_t **")
        if lib.ome_gateway_create(venue, listener, self._event_fd, gateway) != lib.OME_OK:
            os.close(self._event_fd)
            raise MemoryError("no memory for the gateway")
        self._pointer = gateway[0]
        self._epoch = epoch
        self._policy = policy
        self._admitted = frozenset(participants)
        self._submit = submit
        self._look_at_venue = look
        self._on_defined = on_defined
        self._registry = SessionRegistry(sessions, session_count_max, sessions_per_participant, self._look)
        self._waiting: dict[int, _Logon] = {}  # by session: for the engine to give it a number that is somebody else's
        self._reference_data = bytearray()
        self._instrument_count = 0
        self._stop = threading.Event()
        self._thread = supervisor.thread("ome-gateway", self._serve, period_s=0.0, attempts=1)

    def add_instrument(self, number: int, instrument: Instrument) -> None:
        """The instrument is in the answer to every logon from now on."""
        self._reference_data += command_messages(encode_commands([define_instrument(instrument, number)])).tobytes()
        self._instrument_count += 1

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after it has sent the last frames."""
        self._stop.set()
        os.eventfd_write(self._event_fd, 1)
        self._thread.stop()

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

    def _turn(self, timeout_ms: int) -> bool:
        outcome = lib.ome_gateway_run(self._pointer, timeout_ms)
        self._said_something = outcome != lib.OME_GATEWAY_IDLE
        if outcome == lib.OME_GATEWAY_MESSAGE:
            self._take_message()
        elif outcome == lib.OME_GATEWAY_DEFINED:
            self._take_definition()
        return bool(outcome != lib.OME_GATEWAY_STOPPED)

    def _take_message(self) -> None:
        peer = int(lib.ome_gateway_peer(self._pointer))
        name, fields = decode_message(bytes(ffi.buffer(lib.ome_gateway_message(self._pointer), 64)))
        if name == "Logon":
            self._log_on(peer, fields["participant_name"], fields["session_number"], fields["heartbeat_ms"])
        else:
            self._log_out(peer)

    def _log_on(self, peer: int, name: bytes, number: int, heartbeat_ms: int) -> None:
        if lib.ome_gateway_session_of(self._pointer, peer):
            lib.ome_gateway_pause(self._pointer, peer, _LOGON_AGAIN_MS)
        refusal = self._refusal(name)
        if refusal is Reason.NONE:
            found = self._registry.log_on(name, number)
            if not isinstance(found, Reason):
                self._take_lease(_Logon(peer, name, number, heartbeat_ms), found)
                return
            refusal = found
        self._answer(peer, refusal)

    def _take_lease(self, logon: _Logon, lease: Lease) -> None:
        """A free number is valid at once; a number that the engine has for another session, when the engine has accepted the change."""
        if not lease.is_reused:
            self._admit(logon, lease)
            return
        if lease.session not in self._waiting:
            command = define_session(logon.name, participant=lease.participant, session=lease.session, session_number=logon.number)
            status = self._submit(encode_commands([command]))
            if status != lib.OME_OK:
                self._registry.forget(lease.session)
                self._answer(logon.peer, Reason.BUSY if status == lib.OME_FULL else Reason.ENGINE_STOPPED)
                return
        former = self._waiting.get(lease.session)
        if former is not None and former.peer != logon.peer:
            self._answer(former.peer, Reason.BUSY)
        self._waiting[lease.session] = logon

    def _refusal(self, name: bytes) -> Reason:
        if not 1 <= len(name) <= 16 or not all(0x21 <= byte <= 0x7E for byte in name):
            return Reason.BAD_PARTICIPANT
        if self._admitted and name.decode("ascii") not in self._admitted:
            return Reason.BAD_PARTICIPANT
        return Reason.NONE

    def _take_definition(self) -> None:
        record = ffi.buffer(lib.ome_gateway_event(self._pointer), 64)
        event = np.frombuffer(bytes(record), dtype=EVENT)[0]
        kind = int(event["command_kind"])
        if kind == CommandKind.DEFINE_SESSION:
            session = int(event["session"])
            logon = self._waiting.pop(session, None)
            if int(event["kind"]) == EventKind.DEFINED:
                self._registry.define(session, int(event["participant"]))
                if logon is not None:
                    self._admit(logon, Lease(int(event["participant"]), session, is_defined=True, is_reused=False))
                return
            lib.ome_gateway_undefine(self._pointer, session)
            self._registry.forget(session)
            if logon is not None:
                self._answer(logon.peer, Reason.SESSION_LIMIT_REACHED)
            return
        self._on_defined(kind, int(event["instrument"]), Reason(int(event["reason"])))

    def _look(self, session: int) -> CData:
        look = ffi.new("ome_gateway_session_t *")
        lib.ome_gateway_look(self._pointer, session, look)
        return look

    def _admit(self, logon: _Logon, lease: Lease) -> None:
        former = int(self._look(lease.session).peer)
        if former and former != logon.peer:
            self._send(former, logout_message(Reason.SESSION_TAKEN_OVER))
        entry = ffi.new("ome_gateway_logon_t *")
        entry.peer = logon.peer
        entry.heartbeat_ms = min(max(logon.heartbeat_ms, _HEARTBEAT_MS_MIN), _HEARTBEAT_MS_MAX) if logon.heartbeat_ms else 0
        entry.participant = lease.participant
        entry.session_number = logon.number
        entry.is_defined = lease.is_defined
        ffi.memmove(entry.participant_name, logon.name.ljust(16, b"\0"), 16)
        if lib.ome_gateway_bind(self._pointer, lease.session, entry) == lib.OME_OK:
            self._answer(logon.peer, Reason.NONE, lease.participant, lease.session)

    def _answer(self, peer: int, reason: Reason, participant: int = 0, session: int = 0) -> None:
        accepted = reason is Reason.NONE
        venue = self._look_at_venue()
        answer = encode_message(
            "LogonAnswer",
            epoch=self._epoch,
            server_time_ns=int(venue.time_ns),
            engine_sequence=int(venue.cursor),
            report_sequence=int(self._look(session).report_sequence) if accepted else 0,
            instrument_count=self._instrument_count if accepted else 0,
            frame_message_count_max=FRAME_MESSAGE_COUNT_MAX,
            participant=participant,
            session=session,
            policy=self._policy,
            reason=reason,
        )
        self._send(peer, answer + self._reference_data if accepted else answer)

    def _log_out(self, peer: int) -> None:
        session = lib.ome_gateway_session_of(self._pointer, peer)
        lib.ome_gateway_unbind(self._pointer, session)
        self._send(peer, logout_message(Reason.REQUESTED))

    def _log_out_all(self) -> None:
        for session in self._registry.sessions():
            peer = int(self._look(session).peer)
            if peer:
                self._send(peer, logout_message(Reason.ENGINE_STOPPED))

    def _send(self, peer: int, frame: bytes) -> None:
        """A peer that is gone or does not read gets nothing; the C loop ends its session when it next has a report for it."""
        lib.ome_gateway_send(self._pointer, peer, ffi.from_buffer("uint8_t[]", frame), len(frame))
