"""A session whose methods wait: it does something only while one of them runs."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client.errors import TimedOut
from ome.client.link import Link
from ome.client.protocol import OrderEntryProtocol, Phase
from ome.client.reports import Reports
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.transport import why_no_connection

__all__ = ["Session", "logon_timeout", "no_logout", "no_room"]

_SEND_FRAMES: Final = 16  # sent in a row before looking for what came: a server ends a session that does not read


class Session:
    """Waits for what a protocol is to do on its link. `where` names it in errors; `timeout` is how many seconds it waits for the server."""

    def __init__(self, protocol: OrderEntryProtocol, link: Link, *, where: str, timeout: float) -> None:
        self._protocol = protocol
        self._link = link
        self._where = where
        self._timeout = timeout

    def log_on(self, endpoint: str) -> None:
        """Waits for the first logon. Raises LogonRefused, FrameRejected or SessionLost where the server says no, TimedOut where nothing."""
        deadline = time.monotonic() + self._timeout
        while self._protocol.logon_count == 0:
            self._protocol.failures.raise_next()
            if time.monotonic() >= deadline:
                raise logon_timeout(self._link, endpoint, self._where, self._timeout)
            self._wait(deadline)

    def send(self, commands: npt.NDArray[np.void], message_count: int) -> None:
        """Sends commands (dtype COMMAND or COMMAND_MESSAGE) in frames of at most so many messages, and looks between them for what came.

        Raises what `failures` has before anything is sent, SessionLost, and TimedOut where there is no room in time.
        """
        protocol = self._protocol
        frames = protocol.cut(commands, message_count)
        self._link.step()
        protocol.failures.raise_next()
        for index, frame in enumerate(frames):
            if index and index % _SEND_FRAMES == 0:
                self._link.step()
            deadline = time.monotonic() + self._timeout
            while not protocol.has_room(len(frame), time.monotonic()):
                protocol.failures.raise_loss()
                if time.monotonic() >= deadline:
                    raise no_room(protocol, index, len(frames), self._where, self._timeout)
                self._wait(deadline)
            protocol.send(frame)
            self._link.flush()

    def receive(self, timeout: float) -> Reports:
        """The reports that have come; waits up to `timeout` seconds for the first. Raises what `failures` has."""
        deadline = time.monotonic() + timeout
        self._link.step()
        while True:
            if len(self._protocol.received):
                return self._protocol.received.take()
            self._protocol.failures.raise_next()
            if time.monotonic() >= deadline:
                return np.empty(0, dtype=EXECUTION_REPORT_MESSAGE)
            self._wait(deadline)

    def receive_unread(self, timeout: float) -> bool:
        """Whether reports came within `timeout` seconds; they are then among the objects that wait to be read."""
        found = self.receive(timeout)
        self._protocol.received.objects.add(found)
        return len(found) > 0

    def log_out(self) -> None:
        """Waits for the answers to what was sent, which may still be refused or be reported, then says goodbye. Raises TimedOut."""
        protocol = self._protocol
        self._link.step()
        deadline = time.monotonic() + self._timeout
        while not protocol.is_over and protocol.sent.pending and time.monotonic() < deadline:
            self._wait(deadline)
        protocol.log_out()
        self._link.flush()
        deadline = time.monotonic() + self._timeout
        while protocol.phase is Phase.LOGGING_OUT:
            if time.monotonic() >= deadline:
                raise no_logout(self._where, self._timeout)
            self._wait(deadline)

    def _wait(self, deadline: float) -> None:
        """Sleeps until something happens, `deadline` at most, and does what it takes."""
        seconds = max(0.0, min(deadline - time.monotonic(), self._link.seconds_to_step()))
        socket = self._link.socket
        if socket is None or socket.is_closed:
            time.sleep(seconds)
        else:
            socket.wait(seconds)
        self._link.step()


def logon_timeout(link: Link, endpoint: str, where: str, timeout: float) -> TimedOut:
    """Nobody has answered the first logon."""
    socket = link.socket
    found = "no answer"
    if socket is None or socket.connection_count == 0:
        found = f"no connection: {why_no_connection(endpoint, wants='orders', has_failed=socket is not None and socket.has_failed)}"
    return TimedOut("answer to the logon", where=where, found=found, allowed=f"one within {timeout} s")


def no_room(protocol: OrderEntryProtocol, sent: int, count: int, where: str, timeout: float) -> TimedOut:
    """Some frames of a call could not be sent in time: the server is away, or does not answer, or is busy."""
    why = "the server does not take more" if protocol.phase is Phase.OPEN else "there is no connection"
    return TimedOut("room for commands", where=where, found=f"{sent} of {count} frames sent: {why}", allowed=f"some within {timeout} s")


def no_logout(where: str, timeout: float) -> TimedOut:
    """The server has not answered the logout."""
    return TimedOut("answer to the logout", where=where, found="none", allowed=f"one within {timeout} s")
