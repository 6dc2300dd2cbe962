"""Order entry for asyncio: a session as `OrderEntry` has it, which the event loop keeps alive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from ome.client.async_receiver import AsyncReceiver
from ome.client.entry import Entry, describe
from ome.client.errors import TimedOut
from ome.client.orders import Order, Orders, client_order_id_of
from ome.client.reports import Report, report_object
from ome.enums import Side
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


class AsyncOrderEntry(Entry, AsyncReceiver):
    """A session with a server, for asyncio. Use it in an `async with` statement: entering it logs on, leaving it logs out.

        async with AsyncOrderEntry("tcp://127.0.0.1:5555", "FIRM1") as session:
            order = await session.buy("AAPL", 100, at="150.25")
            async for report in session.reports():
                ...

    Its arguments, properties and methods are those of `OrderEntry`, and so is what they raise; those that send or wait are awaited. The
    loop keeps the session alive, also while no method runs. A method that sends waits only where the server takes no more.

    Any number of tasks of one loop may use it. Each report is given to one of them.
    """

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

    async def _send_one(self, command: Command) -> None:
        if not self._collects(command):
            await self.send(self._records([command]))
