"""Order entry for asyncio: a session as `OrderEntry` has it, which the event loop keeps alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from ome.client.async_session import AsyncSession
from ome.client.entry import Entry, describe
from ome.client.errors import TimedOut
from ome.client.orders import Order, Orders, client_order_id_of
from ome.client.reports import Report, Reports, report_object
from ome.enums import Side
from ome.errors import InvalidValueError, OmeError
from ome.messages import Command
from ome.units import Integer

__all__ = ["AsyncOrderEntry"]

P = ParamSpec("P")
R = TypeVar("R")


def _sends(
    build: Callable[Concatenate[Orders, P], tuple[Command, R]],
) -> Callable[Concatenate[AsyncOrderEntry, P], Coroutine[Any, Any, R]]:
    """A method that sends the command that `build` makes, and returns what it gives for it."""

    async def send(entry: AsyncOrderEntry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        command, result = build(entry._orders, *args, **kwargs)
        await entry._send_one(command)
        return result

    describe(send, build)
    return send


def _enters(
    build: Callable[Concatenate[Orders, Side, P], tuple[Command, R]], side: Side
) -> Callable[Concatenate[AsyncOrderEntry, P], Coroutine[Any, Any, R]]:
    """The same for orders of one side."""

    async def send(entry: AsyncOrderEntry, /, *args: P.args, **kwargs: P.kwargs) -> R:
        command, result = build(entry._orders, side, *args, **kwargs)
        await entry._send_one(command)
        return result

    describe(send, build, given=1)
    return send


class AsyncOrderEntry(Entry):
    """A session with a server, for asyncio. Use it in an `async with` statement: entering it logs on, leaving it logs out.

        async with AsyncOrderEntry("tcp://127.0.0.1:5555", "FIRM1") as session:
            order = await session.buy("AAPL", 100, at="150.25")
            async for report in session.reports():
                ...

    Its arguments, properties and methods are those of `OrderEntry`, and so is what they raise; those that send or wait are awaited. The
    loop keeps the session alive, also while no method runs. A method that sends waits only where the server takes no more.

    Any number of tasks of one loop may use it. Each report is given to one of them.
    """

    _session: AsyncSession | None = None

    async def open(self) -> None:
        """Logs on, as entering it does. Raises LogonRefused, TimedOut and EndpointError, InvalidValueError for a session that was open."""
        if self._session is not None or self._is_closed:
            raise InvalidValueError("session", where=self._where, found="one that was opened before", allowed="a new one")
        session = self._session = AsyncSession(self._protocol, where=self._where, timeout=self._timeout)
        try:
            session.start(self._connect(session.watch))
            await session.log_on(self._endpoint)
        except BaseException:
            self._is_closed = True
            session.stop()
            self._release()
            raise
        self._begin()

    async def __aenter__(self) -> AsyncOrderEntry:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            await self.close()
        except OmeError:
            if kind is None:
                raise

    buy = _enters(Orders.new, Side.BUY)
    sell = _enters(Orders.new, Side.SELL)
    cancel = _sends(Orders.cancel)
    reduce = _sends(Orders.reduce)
    amend = _sends(Orders.amend)
    mass_cancel = _sends(Orders.mass_cancel)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """Sends what the methods in it ask for at its end, in as few frames as there can be; nothing where an exception leaves it."""
        with self._batching() as commands:
            yield
        if commands:
            await self.send(self._records(commands))

    async def reports(self, timeout: float | None = None) -> AsyncIterator[Report]:
        """Reports in the order of the engine, each once; ends when none has come for `timeout` seconds, or with SessionLost."""
        while (row := await self._opened.receive_unread(timeout, None)) is not None:
            yield report_object(row, self.instruments)

    async def wait_for(self, order: Order | Integer, timeout: float | None = None) -> Report:
        """The next report about an order, given itself or by its client order id; reports of other orders stay for `reports`.

        The id that `mass_cancel` returns is one, too; an OrderId is not. Raises TimedOut when none comes within `timeout` seconds (by
        default the session's).
        """
        wanted = client_order_id_of(order)
        seconds = self._timeout if timeout is None else timeout
        row = await self._opened.receive_unread(seconds, wanted)
        if row is None:
            raise TimedOut(f"report about client order id {wanted}", where=self._where, found="none", allowed=f"one within {seconds} s")
        return report_object(row, self.instruments)

    async def send(self, commands: npt.NDArray[np.void], messages_per_frame: int | None = None) -> None:
        """Sends commands, as `OrderEntry.send`."""
        await self._opened.send(commands, self._check(commands, messages_per_frame))

    async def receive(self, timeout: float | None = None) -> Reports:
        """The reports that have come (dtype EXECUTION_REPORT_MESSAGE, read-only), in the order of the engine.

        Waits for the first, up to `timeout` seconds if that is not None.
        """
        return await self._opened.receive(timeout)

    async def close(self) -> None:
        """Waits until all commands are answered, logs out, waits for the server's answer and closes, as `OrderEntry.close`."""
        if self._is_closed:
            return
        session = self._opened
        self._is_closed = True
        try:
            await session.log_out()
        finally:
            loss = self._finish()
            session.stop()
            self._release()
        self._protocol.failures.raise_error()
        if loss is not None:
            raise loss

    @property
    def _opened(self) -> AsyncSession:
        if self._session is None:
            raise InvalidValueError("session", where=self._where, found="one that is not open", allowed="`async with`, or `open`")
        return self._session

    async def _send_one(self, command: Command) -> None:
        if not self._collects(command):
            await self.send(self._records([command]))
