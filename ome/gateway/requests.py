"""Requests: what clients ask about their orders, sessions, fills and the instruments, on an address of its own.

The loop in C answers from the engine (csrc/wire/ome_requests.h). This module handles what is rare: logons, and fills, which come from the
journal (`fills`). A logon here opens no session: it says for which participant the connection asks.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from ome._native import CData, ffi, lib
from ome.admission import WRONG_LOGON_MS, Admission, Credential
from ome.codec.wire import decode_message, encode_message
from ome.enums import Policy, Reason
from ome.errors import OmeError
from ome.gateway.fills import FillsArchive, WantedFills
from ome.log import LogKind
from ome.messages import Limits
from ome.supervision import Supervisor
from ome.transport import Listener

__all__ = ["REQUEST_SIZE_MAX_BYTES", "RequestServer", "day_start_ns"]

REQUEST_SIZE_MAX_BYTES: Final = 1_024  # more than a message has, so that a frame of too many is answered, not cut off
_TURN_MS: Final = 100
_MESSAGE_SIZE: Final = 88  # of a logon, the longest that the loop hands over
_NAME_SIZE: Final = 16
_ENDPOINT_SIZE: Final = 64
_FRAME_MESSAGE_COUNT_MAX: Final = 1
_LOGONS_KEPT: Final = 4_096  # then those of connections that are gone are dropped
_NS_PER_S: Final = 1_000_000_000


def day_start_ns(now_ns: int, day_end: time | None) -> int:
    """When the day began in which `now_ns` is: at the last end of day before it, or without one at midnight UTC.

    >>> day_start_ns(90_000 * 10**9, None), day_start_ns(90_000 * 10**9, time(21, 0))
    (86400000000000, 75600000000000)
    """
    now = datetime.fromtimestamp(now_ns // _NS_PER_S, UTC)
    begun = datetime.combine(now.date(), day_end or time(), UTC)
    if begun > now:
        begun -= timedelta(days=1)
    return int(begun.timestamp()) * _NS_PER_S


class RequestServer:
    """The connections of one listener that ask, and the thread that answers them.

    `connected` has 1 for each session that is, by its number; `listener` an ome_listener_t *. `endpoints` are those of market
    data and of requests. `admission` decides who may ask, `connections` knows their keys and addresses, `note` takes what operators and
    auditors look for. `directory` is the journal's, if there is one, and `limits` are the engine's. `look` gives an ome_venue_view_t *.
    """

    def __init__(
        self,
        venue: CData,
        connected: CData,
        listener: CData,
        *,
        epoch: int,
        policy: Policy,
        limits: Limits,
        directory: Path | None,
        endpoints: tuple[str, str],
        admission: Admission,
        connections: Listener,
        note: Callable[..., None],
        day_end: time | None,
        look: Callable[[], CData],
        supervisor: Supervisor,
    ) -> None:
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        requests = ffi.new("ome_requests_t **")
        if lib.ome_requests_create(venue, connected, listener, self._event_fd, requests) != lib.OME_OK:
            os.close(self._event_fd)
            raise MemoryError("no memory for requests")
        self._pointer = requests[0]
        self._epoch = epoch
        self._policy = policy
        self._endpoints = endpoints
        self._admission = admission
        self._connections = connections
        self._note = note
        self._logged_on: dict[int, tuple[str, Credential]] = {}  # by peer; it may be gone
        self._kept_max = _LOGONS_KEPT
        self._has_other_keys = threading.Event()
        self._day_end = day_end
        self._look = look
        self._given: deque[tuple[int, bytes]] = deque()  # by the archive, for the loop
        self._fills = FillsArchive(directory, limits, lambda: int(look().published), self._take_fills, supervisor=supervisor)
        self._stop = threading.Event()
        self._thread = supervisor.thread("ome-requests", self._serve, period_s=0.0, attempts=1)

    def start(self) -> None:
        """Answers from now on."""
        self._fills.start()
        self._thread.start()

    def check_credentials(self) -> None:
        """What clients have proved may no longer count: the connections for which it does not, end. Any thread."""
        self._has_other_keys.set()
        lib.ome_requests_call(self._pointer)

    def stop(self) -> None:
        """Ends the thread. What was not answered yet is not."""
        self._stop.set()
        lib.ome_requests_call(self._pointer)
        self._thread.stop()
        self._fills.stop()

    def close(self) -> None:
        """Frees everything but the listener; neither thread runs."""
        lib.ome_requests_destroy(self._pointer)
        os.close(self._event_fd)

    # ---- the thread ----

    def _serve(self) -> bool:
        """Until the stop. False: that is the end."""
        while not self._stop.is_set():
            if self._has_other_keys.is_set():
                self._end_without_credentials()
            while self._given:
                peer, frame = self._given.popleft()
                lib.ome_requests_answer_fills(self._pointer, peer, ffi.from_buffer("uint8_t[]", frame), len(frame))
            outcome = lib.ome_requests_run(self._pointer, _TURN_MS)
            if outcome == lib.OME_REQUESTS_STOPPED:
                raise OmeError("listener", where="requests", found="a call on it failed", allowed="a listener that works")
            if outcome in (lib.OME_REQUESTS_LOGON, lib.OME_REQUESTS_FILLS):
                peer = int(lib.ome_requests_peer(self._pointer))
                _, fields = decode_message(bytes(ffi.buffer(lib.ome_requests_message(self._pointer), _MESSAGE_SIZE)))
                (self._log_on if outcome == lib.OME_REQUESTS_LOGON else self._ask_for_fills)(peer, fields)
        for peer in tuple(self._logged_on):
            if lib.ome_requests_is_logged_on(self._pointer, peer):
                lib.ome_requests_end(self._pointer, peer, Reason.ENGINE_STOPPED)
        return False

    def _log_on(self, peer: int, logon: dict[str, Any]) -> None:
        who = ffi.new("ome_requests_who_t *")
        name = logon["participant_name"].ljust(_NAME_SIZE, b"\0")
        credential = self._admission.admit(logon["participant_name"], logon["secret"], self._connections.key_of(peer))
        if isinstance(credential, Reason):
            lib.ome_requests_pause(self._pointer, peer, WRONG_LOGON_MS)
            reason = credential
        else:
            reason = Reason.BAD_FLAGS if logon["session_flags"] or logon["logon_flags"] else Reason.NONE
        if reason is Reason.NONE:
            lib.ome_requests_find(self._pointer, name, who)
            reason = Reason(who.reason)
        if reason is Reason.NONE and lib.ome_requests_admit(self._pointer, peer, name, who) != lib.OME_OK:
            return  # it is gone
        text = logon["participant_name"].decode("ascii", "backslashreplace")
        fields = {"participant": text, "login_id": logon["login_id"], "peer": self._connections.address_of(peer), "endpoint": "requests"}
        if reason is not Reason.NONE:
            self._note(LogKind.REFUSAL, **fields, reason=reason.name)
        elif isinstance(credential, Credential):
            self._note(LogKind.LOGON, **fields)
            self._keep(peer, text, credential)
        feed, requests = self._endpoints
        is_admitted = reason is Reason.NONE
        frame = encode_message(
            "LogonAnswer",
            epoch=self._epoch,
            server_time_ns=int(self._look().time_ns),
            engine_sequence=int(who.sequence),
            login_id=logon["login_id"],
            frame_message_count_max=_FRAME_MESSAGE_COUNT_MAX,
            participant=who.participant,
            policy=self._policy,
            reason=reason,
            feed_endpoint=feed.encode("ascii")[:_ENDPOINT_SIZE] if is_admitted else b"",
            requests_endpoint=requests.encode("ascii")[:_ENDPOINT_SIZE] if is_admitted else b"",
        )
        lib.ome_requests_answer_logon(self._pointer, peer, ffi.from_buffer("uint8_t[]", frame), len(frame), int(who.sequence))

    def _keep(self, peer: int, name: str, credential: Credential) -> None:
        if len(self._logged_on) >= self._kept_max:
            self._logged_on = {one: kept for one, kept in self._logged_on.items() if lib.ome_requests_is_logged_on(self._pointer, one)}
            self._kept_max = max(_LOGONS_KEPT, 2 * len(self._logged_on))
        self._logged_on[peer] = name, credential

    def _end_without_credentials(self) -> None:
        self._has_other_keys.clear()
        for peer, (name, credential) in tuple(self._logged_on.items()):
            if not lib.ome_requests_is_logged_on(self._pointer, peer):
                del self._logged_on[peer]
            elif not self._admission.is_good(credential):
                del self._logged_on[peer]
                address = self._connections.address_of(peer)
                lib.ome_requests_end(self._pointer, peer, Reason.NOT_PERMITTED)
                self._note(LogKind.KILL, participant=name, peer=address, endpoint="requests", reason=Reason.NOT_PERMITTED.name)

    def _ask_for_fills(self, peer: int, request: dict[str, Any]) -> None:
        since_ns = request["since_ns"] or day_start_ns(int(self._look().time_ns), self._day_end)
        name = bytes(ffi.buffer(lib.ome_requests_name(self._pointer), _NAME_SIZE)).rstrip(b"\0")
        self._fills.ask(WantedFills(peer, request["request_id"], name, since_ns, request["cursor"]))

    def _take_fills(self, peer: int, frame: bytes) -> None:
        """The archive's answer, on its thread."""
        self._given.append((peer, frame))
        lib.ome_requests_call(self._pointer)
