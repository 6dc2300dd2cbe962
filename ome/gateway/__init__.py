"""Order entry: the loop in C moves orders and reports; here is what is rare - who logs on, as which session, with which reference data."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import EVENT, Records, define_instrument, encode_commands
from ome.codec.wire import decode_message, encode_message
from ome.engine import SessionState
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.errors import OmeError
from ome.instruments import Instrument
from ome.messages import DefineSession
from ome.transport.sockets import RouterSocket
from ome.transport.table import Loop, SocketTable

__all__ = ["FRAME_MESSAGE_COUNT_MAX", "FRAME_SIZE_MAX_BYTES", "Gateway"]

FRAME_MESSAGE_COUNT_MAX = 256
# A frame of too many messages is to be answered, not cut off: so the transport lets twice as many through.
FRAME_SIZE_MAX_BYTES = 2 * 64 * FRAME_MESSAGE_COUNT_MAX
_TURN_MS = 100


class Gateway:
    """One ROUTER socket, its sessions, and the thread that serves them.

    `submit` gives commands to the venue and returns its status; `cursor` is the last command sequenced. `participants` are those admitted;
    none given admits any. `on_defined` is called with the fields of each definition's event, on the gateway's thread.
    """

    def __init__(
        self,
        venue: CData,
        socket: RouterSocket,
        *,
        loop: Loop,
        epoch: int,
        policy: Policy,
        session_count_max: int,
        sessions: Iterable[SessionState],
        participants: Iterable[str],
        submit: Callable[[Records], int],
        cursor: Callable[[], int],
        on_defined: Callable[[int, int, Reason], None],
    ) -> None:
        self._socket = socket
        self._table = SocketTable(socket, loop)
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        gateway = ffi.new("ome_gateway_t **")
        if lib.ome_gateway_create(venue, self._table.pointer, self._event_fd, gateway) != lib.OME_OK:
            raise MemoryError("no memory for the gateway")
        self._pointer = gateway[0]
        self._epoch = epoch
        self._policy = policy
        self._session_count_max = session_count_max
        self._admitted = frozenset(participants)
        self._submit = submit
        self._cursor = cursor
        self._on_defined = on_defined
        self._participants: dict[bytes, int] = {}
        self._sessions: dict[tuple[bytes, int], tuple[int, int]] = {}
        for known in sessions:
            name = known.participant_name.encode("ascii")
            self._participants[name] = known.participant
            self._sessions[name, known.session_number] = (known.participant, known.session)
        self._next_session = len(self._sessions) + 1
        self._pending: dict[int, tuple[bytes, int, int, bytes]] = {}  # by session: name, session number, participant, peer
        self._reference_data: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="gateway", daemon=True)
        self.error: BaseException | None = None

    @property
    def loop(self) -> Loop:
        """Whose socket functions the loop in C calls."""
        return self._table.loop

    def add_instrument(self, number: int, instrument: Instrument) -> None:
        """The instrument is in the answer to every logon from now on."""
        definition = define_instrument(instrument, number)
        names = ("symbol", "tick", "collar_ticks", "instrument", "price_decimals", "quantity_decimals")
        fields = {name: getattr(definition, name) for name in names}
        fields["instrument_flags"] = int(definition.instrument_flags)
        self._reference_data.append(encode_message("DefineInstrument", kind=int(CommandKind.DEFINE_INSTRUMENT), **fields))

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after it has said what can be said."""
        self._stop.set()
        os.eventfd_write(self._event_fd, 1)
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Frees everything but the socket; the venue no longer runs."""
        lib.ome_gateway_destroy(self._pointer)
        self._table.close()
        os.close(self._event_fd)

    # ---- the thread ----

    def _serve(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._turn(_TURN_MS):
                    raise OmeError("socket", where="gateway", found="closed, or a call on it failed", allowed="an open socket")
            while self._turn(0) and self._said_something:
                pass
            self._log_out_all()
        except BaseException as error:  # the server's main thread reports it
            self.error = error

    def _turn(self, timeout_ms: int) -> bool:
        outcome = lib.ome_gateway_run(self._pointer, timeout_ms)
        self._said_something = outcome != lib.OME_GATEWAY_IDLE
        if outcome == lib.OME_GATEWAY_MESSAGE:
            self._take_message()
        elif outcome == lib.OME_GATEWAY_DEFINED:
            self._take_definition()
        return bool(outcome != lib.OME_GATEWAY_STOPPED)

    def _take_message(self) -> None:
        size = ffi.new("uint32_t *")
        pointer = lib.ome_gateway_peer(self._pointer, size)
        peer = bytes(ffi.buffer(pointer, size[0]))
        name, fields = decode_message(bytes(ffi.buffer(lib.ome_gateway_message(self._pointer), 64)))
        if name == "Logon":
            self._log_on(peer, fields["participant_name"], fields["session_number"])
        else:
            self._log_out(peer)

    def _log_on(self, peer: bytes, name: bytes, number: int) -> None:
        refusal = self._refusal(name)
        if refusal is not Reason.NONE:
            self._answer(peer, refusal)
            return
        known = self._sessions.get((name, number))
        if known is not None:
            self._admit(peer, *known)
            return
        waiting = next((session for session, wanted in self._pending.items() if wanted[:2] == (name, number)), None)
        if waiting is not None:
            _, _, participant, former = self._pending[waiting]
            self._pending[waiting] = (name, number, participant, peer)
            if former != peer:
                self._send(former, encode_message("Logout", reason=Reason.SESSION_TAKEN_OVER))
            return
        self._define_session(peer, name, number)

    def _refusal(self, name: bytes) -> Reason:
        if not 1 <= len(name) <= 16 or not all(0x21 <= byte <= 0x7E for byte in name):
            return Reason.BAD_PARTICIPANT
        if self._admitted and name.decode("ascii") not in self._admitted:
            return Reason.BAD_PARTICIPANT
        return Reason.NONE

    def _define_session(self, peer: bytes, name: bytes, number: int) -> None:
        if self._next_session > self._session_count_max:
            self._answer(peer, Reason.SESSION_LIMIT_REACHED)
            return
        participant = self._participants.get(name, len(self._participants) + 1)
        session = self._next_session
        command = DefineSession(participant_name=name, participant=participant, session=session, session_number=number)
        status = self._submit(encode_commands([command]))
        if status != lib.OME_OK:
            self._answer(peer, Reason.BUSY if status == lib.OME_FULL else Reason.ENGINE_STOPPED)
            return
        self._next_session += 1
        self._participants[name] = participant
        self._pending[session] = (name, number, participant, peer)

    def _take_definition(self) -> None:
        record = ffi.buffer(lib.ome_gateway_event(self._pointer), 64)
        event = np.frombuffer(bytes(record), dtype=EVENT)[0]
        kind = int(event["command_kind"])
        reason = Reason(int(event["reason"]))
        if kind == CommandKind.DEFINE_SESSION:
            name, number, participant, peer = self._pending.pop(int(event["session"]))
            if int(event["kind"]) != EventKind.DEFINED:
                raise OmeError("session", where="gateway", found=reason.name, allowed="sessions that only the gateway defines")
            self._sessions[name, number] = (participant, int(event["session"]))
            self._admit(peer, participant, int(event["session"]))
            return
        self._on_defined(kind, int(event["instrument"]), reason)

    def _admit(self, peer: bytes, participant: int, session: int) -> None:
        size = ffi.new("uint32_t *")
        pointer = lib.ome_gateway_peer_of(self._pointer, session, size)
        former = bytes(ffi.buffer(pointer, size[0]))
        if former and former != peer:
            self._send(former, encode_message("Logout", reason=Reason.SESSION_TAKEN_OVER))
        lib.ome_gateway_bind(self._pointer, session, participant, ffi.from_buffer("uint8_t[]", peer), len(peer))
        self._answer(peer, Reason.NONE, participant, session)

    def _answer(self, peer: bytes, reason: Reason, participant: int = 0, session: int = 0) -> None:
        accepted = reason is Reason.NONE
        answer = encode_message(
            "LogonAnswer",
            epoch=self._epoch,
            server_time_ns=time.time_ns(),
            engine_sequence=self._cursor(),
            report_sequence=lib.ome_gateway_report_sequence(self._pointer, session) if accepted else 0,
            instrument_count=len(self._reference_data) if accepted else 0,
            frame_message_count_max=FRAME_MESSAGE_COUNT_MAX,
            participant=participant,
            session=session,
            policy=self._policy,
            reason=reason,
        )
        self._send(peer, b"".join((answer, *self._reference_data)) if accepted else answer)

    def _log_out(self, peer: bytes) -> None:
        session = lib.ome_gateway_session_of(self._pointer, ffi.from_buffer("uint8_t[]", peer), len(peer))
        lib.ome_gateway_unbind(self._pointer, session)
        self._send(peer, encode_message("Logout", reason=Reason.REQUESTED))

    def _log_out_all(self) -> None:
        size = ffi.new("uint32_t *")
        for _, session in self._sessions.values():
            pointer = lib.ome_gateway_peer_of(self._pointer, session, size)
            if size[0]:
                self._send(bytes(ffi.buffer(pointer, size[0])), encode_message("Logout", reason=Reason.ENGINE_STOPPED))

    def _send(self, peer: bytes, frame: bytes) -> None:
        """A peer that is gone or does not read gets nothing; the C loop ends its session when it next has a report for it."""
        lib.ome_gateway_send(self._pointer, ffi.from_buffer("uint8_t[]", peer), len(peer), ffi.from_buffer("uint8_t[]", frame), len(frame))
