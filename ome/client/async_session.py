"""A session in an event loop of asyncio: the loop calls it when something has come or is due, also while nobody waits for it."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import numpy.typing as npt

from ome.client.link import Link
from ome.client.protocol import OrderEntryProtocol, Phase
from ome.client.reports import Reports
from ome.client.session import logon_timeout, no_logout, no_room
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.transport import ClientSocket

__all__ = ["AsyncSession"]


class AsyncSession:
    """Runs a protocol and its link in the loop that runs when it is made. `where` names it in errors; `timeout` is as for `Session`.

    Give it the link by `start`, and `watch` to the link. A descriptor of libzmq becomes readable once, when something new may have
    happened; so after each turn, and after each frame that was sent, it looks whether there is more.
    """

    def __init__(self, protocol: OrderEntryProtocol, *, where: str, timeout: float) -> None:
        self._protocol = protocol
        self._where = where
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._descriptors: tuple[int, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._is_turn_due = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def link(self) -> Link:
        """The link that was given."""
        assert self._link is not None, "it was started"
        return self._link

    def start(self, link: Link) -> None:
        """Runs from now on."""
        self._link = link
        self._turn()

    def stop(self) -> None:
        """No longer runs."""
        self.watch(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.close()
        self._wake()

    def watch(self, socket: ClientSocket | None) -> None:
        """The link has this socket from now on."""
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
        self._descriptors = () if socket is None else socket.descriptors
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, self._turn)

    async def log_on(self, endpoint: str) -> None:
        """Waits for the first logon. Raises as `Session.log_on`."""
        deadline = time.monotonic() + self._timeout
        while self._protocol.logon_count == 0:
            self._protocol.failures.raise_next()
            if time.monotonic() >= deadline:
                raise await asyncio.to_thread(logon_timeout, self.link, endpoint, self._where, self._timeout)
            await self._change(deadline)

    async def send(self, commands: npt.NDArray[np.void], message_count: int) -> None:
        """Sends commands as `Session.send`. Waits only where there is no room."""
        protocol = self._protocol
        frames = protocol.cut(commands, message_count)
        protocol.failures.raise_next()
        for index, frame in enumerate(frames):
            deadline = time.monotonic() + self._timeout
            while not protocol.has_room(len(frame), time.monotonic()):
                protocol.failures.raise_loss()
                if time.monotonic() >= deadline:
                    raise no_room(protocol, index, len(frames), self._where, self._timeout)
                await self._change(deadline)
            protocol.send(frame)
            self.flush()

    async def receive(self, timeout: float | None) -> Reports:
        """The reports that have come; waits for the first, up to `timeout` seconds if that is not None. Raises what `failures` has."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while not len(self._protocol.received):
            self._protocol.failures.raise_next()
            if time.monotonic() >= deadline:
                return np.empty(0, dtype=EXECUTION_REPORT_MESSAGE)
            await self._change(deadline)
        reports = self._protocol.received.take()
        self._wake()  # whoever waits for one of them as an object
        return reports

    async def receive_unread(self, timeout: float | None, wanted: int | None) -> np.void | None:
        """The oldest report that waits to be read, or the oldest about a client order id; None where none comes in time."""
        received = self._protocol.received
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            if len(received):
                received.objects.add(received.take())
                self._wake()
            row = received.objects.take() if wanted is None else received.objects.take_about(wanted)
            if row is not None:
                return row
            self._protocol.failures.raise_next()
            if time.monotonic() >= deadline:
                return None
            await self._change(deadline)

    async def log_out(self) -> None:
        """As `Session.log_out`."""
        protocol = self._protocol
        deadline = time.monotonic() + self._timeout
        while not protocol.is_over and protocol.sent.pending and time.monotonic() < deadline:
            await self._change(deadline)
        protocol.log_out()
        self.flush()
        deadline = time.monotonic() + self._timeout
        while protocol.phase is Phase.LOGGING_OUT:
            if time.monotonic() >= deadline:
                raise no_logout(self._where, self._timeout)
            await self._change(deadline)

    def flush(self) -> None:
        """Sends what may be sent, and looks in the next turn of the loop where something came meanwhile."""
        link = self.link
        link.flush()
        if link.is_full or (link.socket is not None and link.socket.has_input):
            self._turn_soon()

    def _turn(self) -> None:
        self._is_turn_due = False
        link = self.link
        link.step()
        if link.has_more or (link.socket is not None and link.socket.has_input):
            self._turn_soon()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self._protocol.is_over else self._loop.call_later(link.seconds_to_step(), self._turn)
        self._wake()

    def _turn_soon(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._turn)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def _change(self, deadline: float) -> None:
        """Waits for the next turn, `deadline` at most."""
        future = self._loop.create_future()
        self._waiting.add(future)
        seconds = deadline - time.monotonic()
        timer = None if seconds == float("inf") else self._loop.call_later(max(0.0, seconds), _expire, future)
        try:
            await future
        finally:
            self._waiting.discard(future)
            if timer is not None:
                timer.cancel()


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
